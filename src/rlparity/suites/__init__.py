"""From a suite file to cells, settings and costs."""
