"""Scenes of coloured shapes, their images, and questions about them with their answers."""
