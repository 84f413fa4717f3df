"""Between the HTTP process and the worker: what crosses, how it is carried, and the loop at the other end."""
