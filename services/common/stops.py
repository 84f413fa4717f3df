"""Stop strings: where the text of an answer ends, whichever service writes it, in whatever pieces it comes."""

from collections.abc import Iterable


def stop_position(text: str, stops: Iterable[str]) -> int | None:
    """How many characters of the text stand before its stop string; None if it holds none.

    Of several stop strings it is the one that ends first, as a reader of the growing text would meet them; of two that
    end together, the longer.
    """
    found = [(at + len(stop), at) for stop in stops if (at := text.find(stop)) >= 0]
    return min(found)[1] if found else None
