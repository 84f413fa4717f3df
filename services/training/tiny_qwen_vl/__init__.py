"""The embedded Qwen2-VL: a real architecture with few parameters that counts coloured shapes, trained from nothing."""
