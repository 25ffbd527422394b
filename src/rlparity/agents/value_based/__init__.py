"""Agents that learn action values."""
