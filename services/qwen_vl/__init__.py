"""Image question answering with Qwen2-VL, and the lens: what every layer would have answered."""
