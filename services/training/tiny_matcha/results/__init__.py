"""How good the model is: scores, and the model card."""
