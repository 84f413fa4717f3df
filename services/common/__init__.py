"""What both services share: the wire contract and its errors (pure), and the serving glue."""
