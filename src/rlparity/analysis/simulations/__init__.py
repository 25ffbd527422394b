"""How often intervals, verdicts and sequential designs err, measured by drawing from known seeds."""
