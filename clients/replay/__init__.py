"""The replay client: asks a service every question of a dataset on disk, and reports how well, how fast, and why.

``run`` writes a run folder, ``report`` reads one or several. Everything a report says is a pure function of those
folders, so a metric can be corrected without asking again.
"""
