"""The HTTP process: turns requests into jobs for the worker, and its replies into responses."""
