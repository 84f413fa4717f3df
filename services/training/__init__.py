"""Trains the embedded models and draws the sample datasets, from a seed, offline, on one core."""
