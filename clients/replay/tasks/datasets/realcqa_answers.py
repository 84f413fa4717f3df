"""The answers in RealCQA's blocks: their types and the formats they are written in."""

from typing import Final

from clients.replay.scoring.gold import AnswerType, Gold
from clients.replay.scoring.lists import read_literal
from clients.replay.scoring.lists import split as split_list
from clients.replay.tasks.entries import EntryError, text_field
from clients.replay.tasks.sample import SkipReason

_TYPES: Final = {
    "string": AnswerType.STRING,
    "numerical": AnswerType.NUMERICAL,
    "binary": AnswerType.BINARY,
    "ranked list": AnswerType.RANKED_LIST,
    "unranked list": AnswerType.UNRANKED_LIST,
}
_LISTS: Final = frozenset({AnswerType.RANKED_LIST, AnswerType.UNRANKED_LIST})


def type_of(name: str) -> AnswerType:
    """The type that a block names.

    Raises:
        EntryError: there is no such type.
    """
    try:
        return _TYPES[name.strip().lower()]
    except KeyError:
        raise EntryError(SkipReason.UNKNOWN_ANSWER_TYPE, f"answer_type {name!r}") from None


def gold_of(block: object, answer_type: AnswerType) -> Gold:
    """A block's answer: items for the list types, text for all others.

    Raises:
        EntryError: the answer is missing or cannot be read.
    """
    answer = block["answer"] if isinstance(block, dict) and isinstance(block.get("answer"), list) else None
    if answer_type not in _LISTS:
        # a single value is sometimes wrapped in a list of one
        return text_field({"answer": answer[0]} if answer and len(answer) == 1 else block, "answer")
    items = _items(answer) if answer is not None else _written_items(text_field(block, "answer"))
    if not items:
        raise EntryError(SkipReason.BROKEN_ENTRY, "has an empty list as 'answer'")
    return items


def _items(answer: list[object]) -> tuple[str, ...]:
    if len(answer) == 1 and isinstance(answer[0], list):  # some blocks have an extra level of nesting
        answer = answer[0]
    return tuple(text_field({"answer": item}, "answer").strip() for item in answer)


def _written_items(text: str) -> tuple[str, ...]:
    written = read_literal(text)
    return split_list(text) if written is None else _items(written)
