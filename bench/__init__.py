"""Benchmarks: `./pipeline bench`."""
