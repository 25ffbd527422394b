"""Sensitivity: which planted bugs the layers catch."""
