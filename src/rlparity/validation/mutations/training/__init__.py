"""Bugs and rewrites of what trains and records, written by someone who had not read the checks."""
