"""How good the image model is: scores, the lens layer by layer, and its card."""
