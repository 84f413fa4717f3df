"""Trains the embedded models and makes the sample sets: seeded, offline, on one core."""
