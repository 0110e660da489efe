"""Mutated files against the compiled kernels and the Python around them."""
