"""Makes artifact folders: a checkpoint, from a folder or the hub, in the form that a variant serves."""
