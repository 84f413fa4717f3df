"""How the network learns: targets, batches, losses, optimizers, and the recipe of each stage."""
