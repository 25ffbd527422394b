"""Seed-batched networks, optimisers, policies and distributions."""
