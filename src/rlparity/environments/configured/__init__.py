"""Environments that a suite makes with keyword arguments, another time limit or wrappers of its own."""
