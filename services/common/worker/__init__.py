"""Between the HTTP process and the worker: the messages, their transport, and the worker's loop."""
