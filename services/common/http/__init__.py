"""The HTTP process: from a request on a socket to a job, and from its answer back."""
