"""Implementations under validation."""
