"""Charts, their images, and questions about them with their answers."""
