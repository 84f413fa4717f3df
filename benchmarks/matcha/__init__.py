"""Benchmarks of all MatCha variants, compared with the usual alternatives."""
