"""Production's hardships, on purpose: too much load, killed workers, signals, and clients that leave."""
