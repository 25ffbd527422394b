"""Contract of candidates."""
