"""The logit lens: states taken while the model runs, and what each layer would have answered."""
