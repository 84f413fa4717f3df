"""The folder that a model is served from: its manifest, how it is written, how it is inspected."""
