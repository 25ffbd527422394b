"""Contract: properties that every implementation must have."""
