"""Benchmarks: each command prints a table and writes its measurements to a file."""
