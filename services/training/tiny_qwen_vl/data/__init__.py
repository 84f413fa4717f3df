"""What the image model is trained on: scenes, their images, and questions about them."""
