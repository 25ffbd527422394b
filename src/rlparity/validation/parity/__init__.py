"""Update parity: updates of an implementation compared with those of the reference."""
