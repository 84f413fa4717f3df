"""Faster replacements for PyTorch's bfloat16 operations on the CPU; used by both services, no settings needed."""
