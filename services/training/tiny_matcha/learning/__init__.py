"""How the chart model learns: targets, batches, schedule, optimizers."""
