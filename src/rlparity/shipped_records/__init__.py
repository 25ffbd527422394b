"""Records that reports carry: restore, vouch, retrain."""
