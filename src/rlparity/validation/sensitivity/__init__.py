"""Sensitivity: which planted bugs the layers of validation catch."""
