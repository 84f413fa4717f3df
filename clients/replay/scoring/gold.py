"""Gold answers: what kinds there are, and how one reads as text or as a list."""

from enum import StrEnum

Gold = str | tuple[str, ...]


class AnswerType(StrEnum):
    """The kind of a gold answer, which decides how an answer is scored. Only the list types have a tuple as gold."""

    STRING = "string"
    NUMERICAL = "numerical"
    BINARY = "binary"
    RANKED_LIST = "ranked list"
    UNRANKED_LIST = "unranked list"
    COUNT = "count"


def as_text(gold: Gold) -> str:
    """A gold answer as a model would write it; a list reads "A, B, C"."""
    return gold if isinstance(gold, str) else ", ".join(gold)


def as_list(gold: Gold) -> tuple[str, ...]:
    """A gold answer as a list; one that is none is a list of itself."""
    return (gold,) if isinstance(gold, str) else gold
