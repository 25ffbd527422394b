"""Planted bugs and equivalent rewrites."""
