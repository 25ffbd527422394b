"""Recording and replay of updates, quantity by quantity."""
