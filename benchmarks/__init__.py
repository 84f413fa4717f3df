"""Benchmarks: each command prints a table, and writes its figures as a file."""
