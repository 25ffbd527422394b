"""`rlparity train`: one algorithm in one environment, without a suite file."""
