"""Contract: what every implementation must keep to."""
