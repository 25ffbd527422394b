"""Checks by kind of fault: starts, random numbers, actions of a policy, seeds of one block, checkpoints."""
