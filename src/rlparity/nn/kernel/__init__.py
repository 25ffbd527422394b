"""Passes of dense stacks and optimiser steps on a CPU, compiled by Numba."""
