"""The wire contract: what clients and load tests see of the services. Pydantic and the standard library alone."""
