"""Run what needs a GPU, in blocks with stated limits, and bring the results home in one archive."""
