"""The main job in one command: both services on the embedded models, a replay of each sample, one report."""
