"""Mutations of our code: bugs, harmless differences and equivalent rewrites."""
