"""The layers that judge an implementation, from seconds to hours: contract, parity, lockstep, statistics."""
