"""Read returns that other programs logged."""
