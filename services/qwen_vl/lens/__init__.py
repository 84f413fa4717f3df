"""The logit lens: hidden states recorded while the model runs, and what each layer would have answered."""
