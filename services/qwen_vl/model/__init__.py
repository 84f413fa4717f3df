"""Qwen2-VL itself: from a conversation to numbers, through the network, to text."""
