"""How good the model is: scores, the lens layer by layer, and the model card."""
