"""Base classes of the wire contract's messages."""

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

_LONGEST_NAME: Final = 200

RequestTimeout = Annotated[
    float | None,
    Field(
        gt=0,
        le=86_400,
        allow_inf_nan=False,
        description="Seconds until the request is given up with 504; null means the server's, which is the most.",
    ),
]


def without_nulls(fields: dict[str, Any]) -> dict[str, Any]:
    """A field written as null is a field left out; only of this object, not of those in it."""
    return {name: value for name, value in fields.items() if value is not None}


def printable(name: str) -> str:
    """A name that a client chose, fit for an answer: not too long, and without halves of characters."""
    return name.encode(errors="replace").decode()[:_LONGEST_NAME]


class WireRequest(BaseModel):
    """Base of requests: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def sort(cls, sent: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """The fields to be used, and the names of those that are taken without effect."""
        return without_nulls(sent), []

    @property
    def without_effect(self) -> list[str]:
        """Names of fields of this model that had no effect in this request."""
        return []

    def name_of(self, field: str | None) -> str | None:
        """What the request calls a field of the engine."""
        return field


class WireResponse(BaseModel):
    """Base of responses: unknown fields are ignored, so that old clients work with newer servers."""

    model_config = ConfigDict(extra="ignore", frozen=True)
