"""Measure throughput."""
