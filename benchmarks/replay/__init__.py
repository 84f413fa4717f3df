"""Figures of the replay client itself: what a report costs, what a request costs, what a kill and a large set do."""
