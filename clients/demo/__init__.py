"""The demo: both services on the embedded models, a replay of each sample and one report, in one command."""
