"""Clients of the services: the replay client, the demo and the bundled samples."""
