"""Image question answering with Qwen2-VL, and the logit lens: what each layer would have answered."""
