"""The columns of all tables, by topic."""
