"""Agents written from scratch, one file each."""
