"""Clients of the services: the offline replay, and the samples it comes with."""
