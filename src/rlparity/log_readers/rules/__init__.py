"""What rows of a log must satisfy to be those of one run, from its beginning to its budget."""
