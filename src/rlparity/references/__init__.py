"""Stable-Baselines3 as the reference."""
