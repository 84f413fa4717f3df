"""What is timed: our variants and the alternatives, each in a process of its own."""
