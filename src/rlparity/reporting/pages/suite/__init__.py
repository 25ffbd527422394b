"""The report page of a suite."""
