"""Contract of our own agents."""
