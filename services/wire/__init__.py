"""The wire contract shared with clients and load tests. Depends only on Pydantic and the standard library."""

__version__ = "0.1.0"
"""Of the whole project, as in its metadata, which images do not contain."""
