"""Figures as reproducible SVG."""
