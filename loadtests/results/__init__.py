"""The results of load tests: outcomes, run folder, summary, and tables of several."""
