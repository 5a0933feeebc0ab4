"""Measures of speed, each a module: `python -m benchmarks.speed`."""
