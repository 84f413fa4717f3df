"""What the training of both embedded models needs."""
