"""The replay client: asks a service every question of a dataset on disk, and reports quality, latency and layer traces.

``run`` writes a run folder; ``report`` reads one or more. A report is a pure function of those folders, so a metric
can be corrected without repeating the run.
"""
