"""The generated blocks of the documentation."""
