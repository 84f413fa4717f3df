"""Find where a stop string ends an answer."""

from collections.abc import Iterable


def stop_position(text: str, stops: Iterable[str]) -> int | None:
    """Number of characters before the stop string, or None if the text contains none.

    If several occur, the one that ends first wins, as it would in streamed text; of two that end at the same place,
    the longer.
    """
    found = [(at + len(stop), at) for stop in stops if (at := text.find(stop)) >= 0]
    return min(found)[1] if found else None
