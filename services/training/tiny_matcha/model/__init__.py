"""The chart model itself: its tokenizer, its network, and the folder that it is saved as."""
