"""Benchmarks: each section measures our code and named peers in one run and reports ratios."""
