"""Scores of answers that are lists: in a fixed order, or in any.

A model answers with one string, "A, B, C". Answer and gold are cut by the same rule, so an item that itself holds a
comma counts as its pieces on both sides. A comma between digits that separates thousands does not cut.
"""

import json
import re
from collections import Counter
from typing import Final

from clients.replay.gold import as_text

_CUT: Final = re.compile(r"\s*(?:,(?!(?<=[0-9],)[0-9]{3}(?![0-9]))|;|\n)\s*")


def split(text: str) -> tuple[str, ...]:
    """The items of a list in writing, lower-cased and stripped; JSON where it is JSON, else cut at commas."""
    items = _json_items(text)
    pieces = _CUT.split(text if items is None else as_text(items))
    return tuple(piece.strip().lower() for piece in pieces if piece.strip())


def ranked_exact(answer: str, gold: tuple[str, ...]) -> float:
    """1 if the items are the gold ones in their order, else 0."""
    return float(split(answer) == split(as_text(gold)))


def ranked_items(answer: str, gold: tuple[str, ...]) -> float:
    """The share of places that hold the right item, over the longer of both lists."""
    given, wanted = split(answer), split(as_text(gold))
    right = sum(ours == theirs for ours, theirs in zip(given, wanted, strict=False))
    return right / max(len(given), len(wanted), 1)


def unranked_f1(answer: str, gold: tuple[str, ...]) -> float:
    """F1 of the items as multisets, so that repeating a right item cannot pay."""
    given, wanted = Counter(split(answer)), Counter(split(as_text(gold)))
    return 2 * (given & wanted).total() / max(given.total() + wanted.total(), 1)


def _json_items(text: str) -> tuple[str, ...] | None:
    if not text.lstrip().startswith("["):
        return None
    try:
        items = json.loads(text)
    except ValueError:
        return None
    return tuple(str(item) for item in items) if isinstance(items, list) else None
