"""What every message of the wire contract has in common."""

from pydantic import BaseModel, ConfigDict


class WireRequest(BaseModel):
    """What comes in: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WireResponse(BaseModel):
    """What goes out: a client must survive a server that is newer than itself, so unknown fields are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)
