"""Yes and no, as datasets and models write them."""

from typing import Final

from clients.replay.scoring.reading import as_read

_YES: Final = frozenset({"yes", "true", "1", "1.0", "y", "t"})
_NO: Final = frozenset({"no", "false", "0", "0.0", "n", "f"})


def binary_match(answer: str, gold: str) -> float:
    """1 if both mean yes or both mean no, else 0; an answer that is neither is wrong."""
    wanted = read_binary(gold)
    return float(wanted is not None and read_binary(answer) is wanted)


def read_binary(text: str) -> bool | None:
    """True for yes, False for no, None for anything else; case and a final full stop are ignored."""
    word = as_read(text)
    return True if word in _YES else False if word in _NO else None
