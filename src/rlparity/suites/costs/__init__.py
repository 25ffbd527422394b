"""Costs of a suite before it is run: time, memory, storage."""
