"""What PyTorch leaves slow in bfloat16 on a processor, done otherwise; used by both services, needs no settings."""
