"""Readers of the datasets, one for each task."""
