"""What a server says of itself."""

from typing import Literal

from services.wire.contract import WireResponse


class Status(WireResponse):
    """The answer of a probe that succeeds."""

    status: Literal["live", "ready"]


class Version(WireResponse):
    """This software's version."""

    version: str


class About(WireResponse):
    """What is served, and where its documentation is."""

    service: Literal["Tallyglass"] = "Tallyglass"
    model: str
    variant: str
    docs: Literal["/docs"] = "/docs"
