"""Our scores beside published numbers."""
