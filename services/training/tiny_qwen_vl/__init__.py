"""The embedded Qwen2-VL: the real architecture with few parameters, trained from scratch to count coloured shapes."""
