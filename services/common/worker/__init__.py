"""Between the HTTP process and the worker: the messages, their channel, and the loops at both ends."""
