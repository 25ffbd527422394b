"""Intervals over seeds: how they are computed, and which one is shown where."""
