"""Makes artifact folders: a checkpoint as it is, or quantized, with its manifest."""
