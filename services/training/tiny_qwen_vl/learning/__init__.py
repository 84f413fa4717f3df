"""How the network learns: settings, batches, auxiliary heads, optimizers, and the training itself."""
