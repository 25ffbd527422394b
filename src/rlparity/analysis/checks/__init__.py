"""Checks of the analysis on numbers worked out by hand, relations that must hold, and drawn seeds."""
