"""Numba kernels: arrays in, arrays out, none of our types; imported on first use."""
