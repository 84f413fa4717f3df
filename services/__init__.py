"""The services: two HTTP services, what they share, and the training of their models."""
