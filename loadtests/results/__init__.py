"""What judges a run: its outcomes, its folder, its summary, and several beside each other."""
