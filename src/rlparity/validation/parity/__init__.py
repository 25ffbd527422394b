"""Update parity: one update of ours against one of the reference."""
