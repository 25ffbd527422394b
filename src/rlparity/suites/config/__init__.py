"""What `--config` and options ask for, in place of what a suite file says."""
