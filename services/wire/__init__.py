"""The wire contract shared with clients and load tests. Depends only on Pydantic and the standard library."""
