"""Base classes of the wire contract's messages."""

from pydantic import BaseModel, ConfigDict


class WireRequest(BaseModel):
    """Base of requests: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WireResponse(BaseModel):
    """Base of responses: unknown fields are ignored, so that old clients work with newer servers."""

    model_config = ConfigDict(extra="ignore", frozen=True)
