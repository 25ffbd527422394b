"""Record and replay updates, quantity by quantity."""
