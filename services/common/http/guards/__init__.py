"""What stands between the service and clients that are slow, hostile or not known."""
