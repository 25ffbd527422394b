"""The gradients of our own agents, held against naive versions worked out sample by sample."""
