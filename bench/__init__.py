"""Measurements, each with its command in its docstring."""
