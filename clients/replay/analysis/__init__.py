"""Measurements computed from the outcomes of runs: scores, lens, latency and comparisons, with their intervals."""
