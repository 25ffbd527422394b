"""Looks at growing numbers of seeds, by a design that controls the error of all looks together."""
