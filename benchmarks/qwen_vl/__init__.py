"""Benchmarks of Qwen2-VL at full size: the lens, the prefix cache, and other tools that do the same."""
