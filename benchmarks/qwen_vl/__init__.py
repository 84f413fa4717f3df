"""What Qwen2-VL costs at full size: the lens, the prefix cache, and other ways to the same numbers."""
