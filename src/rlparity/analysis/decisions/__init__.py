"""What decides a verdict beside its own numbers: families of tests, and numbers of seeds."""
