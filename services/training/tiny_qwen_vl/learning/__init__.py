"""How the image model learns: batches, the heads that teach it to see, and the two phases."""
