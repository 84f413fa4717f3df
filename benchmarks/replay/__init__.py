"""Benchmarks of the replay client itself: cost of reports and requests, resilience to kills, and large datasets."""
