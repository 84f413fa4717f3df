"""The image model itself: its tokenizer, its network, the folder that it is saved as, and its answers."""
