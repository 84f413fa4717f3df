"""What Locust runs: which questions, when, over which connections, and where outcomes go."""
