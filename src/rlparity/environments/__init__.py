"""Environments that step S seeds x N copies at once, and what is known of them."""
