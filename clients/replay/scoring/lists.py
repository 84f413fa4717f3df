"""Scores of list answers, ordered or unordered.

A model answers with one string: "A, B, C", or a list as JSON or Python writes it. Answer and gold are split by the same
rule, so an item that contains a comma counts as several items on both sides. Items are compared as read, and numbers by
value.

A comma between digits may separate thousands or items: 100,200,300 is one number or three. It separates items if one of
them is in the other list, else thousands.
"""

import ast
import json
import math
import re
import warnings
from collections import Counter
from collections.abc import Collection
from typing import Final

from clients.replay.scoring.gold import as_text
from clients.replay.scoring.reading import as_read, straight_quotes
from clients.replay.scoring.relaxed import read_number

_PLACES: Final = 10
_CUT: Final = re.compile(r"\s*(?:,(?!(?<=[0-9],)[0-9]{3}(?![0-9]))|[;；，、\n])\s*")
_GROUPED: Final = re.compile(r"[-+−]?[0-9]+(?:\.[0-9]+)?(?:,[0-9]{3}(?:\.[0-9]+)?)+ ?%?")
_BRACKETS: Final = re.compile(r"[\[(]([^][()]*)[])]")
_OPENINGS: Final = ("[", "(", "{", "'", '"')

Key = str | tuple[float, bool]


def split(text: str) -> tuple[str, ...]:
    """Split a list into its items, stripped; parse it if JSON or Python wrote it, else split at commas."""
    written = read_literal(text)
    if written is None:
        bare = text.strip().removesuffix(".")
        brackets = _BRACKETS.fullmatch(bare)
        text = brackets[1] if brackets else text
    else:
        text = as_text(tuple(map(str, written)))
    return tuple(piece.strip() for piece in _CUT.split(text) if piece.strip())


def read_literal(text: str) -> list[object] | None:
    """The items of a list as JSON or Python writes it, one level of nesting unwrapped; None if it is none.

    A bare number is no list: 1,000 would be the items 1 and 0.
    """
    text = text.strip().removesuffix(".")
    items = _parsed(text)
    return _parsed(straight_quotes(text)) if items is None else items


def _parsed(text: str) -> list[object] | None:
    if not text.startswith(_OPENINGS):
        return None
    value = _value(f"[{text[1:-1]}]" if text.startswith("{") and text.endswith("}") else text)  # a set, in its order
    if not isinstance(value, list | tuple):
        return None
    return list(value[0] if len(value) == 1 and isinstance(value[0], list | tuple) else value)


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # a model can get stuck repeating "["
        pass
    try:
        with warnings.catch_warnings(action="ignore"):  # of what looks odd as Python: it is not ours
            return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def ranked_exact(answer: str, gold: tuple[str, ...]) -> float:
    """1 if the items are the gold items in the gold order, else 0."""
    given, wanted = _keys(answer, gold)
    return float(given == wanted)


def ranked_ndcg(answer: str, gold: tuple[str, ...]) -> float:
    """NDCG at 10 (Järvelin and Kekäläinen, 2002): the first gold item has the highest gain, the last has gain 1.

    Each gain is divided by log2 of its rank plus one, and the sum by that of the gold order. A repeated item counts
    once. A list of one item must match exactly, as in RealCQA's evaluator.
    """
    given, wanted = _keys(answer, gold)
    if len(wanted) <= 1:
        return float(given == wanted)
    worth = {item: len(wanted) - place for place, item in reversed(list(enumerate(wanted)))}
    gains = [worth.get(item, 0) if item not in given[:place] else 0 for place, item in enumerate(given)]
    return _discounted(gains) / _discounted(sorted(worth.values(), reverse=True))


def _discounted(gains: list[int]) -> float:
    return sum(gain / math.log2(place + 2) for place, gain in enumerate(gains[:_PLACES]))


def unranked_f1(answer: str, gold: tuple[str, ...]) -> float:
    """F1 of the items as multisets, so that repeating a correct item does not pay."""
    given, wanted = (Counter(keys) for keys in _keys(answer, gold))
    if given == wanted:
        return 1.0
    return 2 * (given & wanted).total() / (given.total() + wanted.total())


def _keys(answer: str, gold: tuple[str, ...]) -> tuple[list[Key], list[Key]]:
    """What the items of both lists are compared by."""
    given, wanted = split(answer), split(as_text(gold))
    given, wanted = _regrouped(given, wanted), _regrouped(wanted, given)
    return [_key(item) for item in given], [_key(item) for item in wanted]


def _key(item: str) -> Key:
    number = read_number(item)
    return (number.value, number.percent) if number else as_read(item)


def _regrouped(items: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    """The items, those that are digits and commas cut into numbers of the other list if it has any of them."""
    known = {_key(item) for item in others}
    return tuple(piece for item in items for piece in (_cut(item, known) if _GROUPED.fullmatch(item) else [item]))


def _cut(item: str, known: Collection[Key]) -> list[str]:
    groups, pieces, found = item.split(","), list[str](), False
    while groups:
        end = next((end for end in range(len(groups), 0, -1) if _key(",".join(groups[:end])) in known), None)
        found, end = found or end is not None, end or 1
        pieces.append(",".join(groups[:end]))
        groups = groups[end:]
    return pieces if found else [item]
