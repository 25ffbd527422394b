"""Files that `rlparity new` writes."""
