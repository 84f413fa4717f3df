"""The network, its tokenizer, the saved folder, and how a saved model is asked."""
