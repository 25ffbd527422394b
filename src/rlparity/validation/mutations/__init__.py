"""Planted faults, refactorings and harmless differences: what the layers of validation are tried on."""
