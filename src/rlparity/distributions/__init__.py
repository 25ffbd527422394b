"""What a stochastic policy draws from: pure functions, with randomness handed over as uniform numbers."""
