"""Scores of list answers, ordered or unordered.

A model answers with one string, "A, B, C". Answer and gold are split by the same rule, so an item that contains a comma
counts as several items on both sides. Thousands separators do not split.
"""

import json
import math
import re
from collections import Counter
from typing import Final

from clients.replay.scoring.gold import as_text

_PLACES: Final = 10
_CUT: Final = re.compile(r"\s*(?:,(?!(?<=[0-9],)[0-9]{3}(?![0-9]))|;|\n)\s*")


def split(text: str) -> tuple[str, ...]:
    """Split a list into its items, lower-cased and stripped; parse it if it is JSON, else split at commas."""
    items = _json_items(text)
    pieces = _CUT.split(text if items is None else as_text(items))
    return tuple(piece.strip().lower() for piece in pieces if piece.strip())


def ranked_exact(answer: str, gold: tuple[str, ...]) -> float:
    """1 if the items are the gold items in the gold order, else 0."""
    return float(split(answer) == split(as_text(gold)))


def ranked_ndcg(answer: str, gold: tuple[str, ...]) -> float:
    """NDCG at 10 (Järvelin and Kekäläinen, 2002): the first gold item has the highest gain, the last has gain 1.

    Each gain is divided by log2 of its rank plus one, and the sum by that of the gold order. A repeated item counts
    once. A list of one item must match exactly, as in RealCQA's evaluator.
    """
    given, wanted = split(answer), split(as_text(gold))
    if len(wanted) <= 1:
        return float(given == wanted)
    worth = {item: len(wanted) - place for place, item in reversed(list(enumerate(wanted)))}
    gains = [worth.get(item, 0) if item not in given[:place] else 0 for place, item in enumerate(given)]
    return _discounted(gains) / _discounted(sorted(worth.values(), reverse=True))


def _discounted(gains: list[int]) -> float:
    return sum(gain / math.log2(place + 2) for place, gain in enumerate(gains[:_PLACES]))


def unranked_f1(answer: str, gold: tuple[str, ...]) -> float:
    """F1 of the items as multisets, so that repeating a correct item does not pay."""
    given, wanted = Counter(split(answer)), Counter(split(as_text(gold)))
    if given == wanted:
        return 1.0
    return 2 * (given & wanted).total() / (given.total() + wanted.total())


def _json_items(text: str) -> tuple[str, ...] | None:
    if not text.lstrip().startswith("["):
        return None
    try:
        items: list[object] = json.loads(text)
    except (ValueError, RecursionError):  # a model can get stuck repeating "["
        return None
    return tuple(map(str, items))
