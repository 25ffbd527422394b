"""Run one cell from start to finish."""
