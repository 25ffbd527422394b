"""The training loop, evaluation, recording and checkpoints."""
