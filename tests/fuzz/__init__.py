"""Fuzzing of the compiled kernels and of the Python code around them."""
