"""Bugs of the analysis: of what makes tables and verdicts of records."""
