"""MatCha at full size and every variant of it, beside what people run today."""
