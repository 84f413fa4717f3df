"""Gold answers: their types, and conversion to text or a list."""

from enum import StrEnum

Gold = str | tuple[str, ...]


class AnswerType(StrEnum):
    """The type of a gold answer, which decides how answers are scored. Only the list types have a tuple as gold."""

    STRING = "string"
    NUMERICAL = "numerical"
    BINARY = "binary"
    RANKED_LIST = "ranked list"
    UNRANKED_LIST = "unranked list"
    COUNT = "count"


def as_text(gold: Gold) -> str:
    """A gold answer as a model would write it; a list becomes "A, B, C"."""
    return gold if isinstance(gold, str) else ", ".join(gold)


def as_list(gold: Gold) -> tuple[str, ...]:
    """A gold answer as a list; a string becomes a list of one."""
    return (gold,) if isinstance(gold, str) else gold
