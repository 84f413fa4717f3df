"""Makes artifact folders: converts a checkpoint, from a folder or the hub, to a variant's form."""
