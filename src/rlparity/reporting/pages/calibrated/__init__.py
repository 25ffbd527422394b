"""Parts of the page of a calibration: coverage of intervals, error rates of sequential designs."""
