"""Parity of what a candidate makes of a rollout: advantages and value targets."""
