"""The network, its tokenizer and prompt, the saved folder, and how a saved model is asked."""
