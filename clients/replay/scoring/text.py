"""Text scores: equality, and similarity by edit distance."""

from typing import Final

from rapidfuzz.distance import Levenshtein

ANLS_THRESHOLD: Final = 0.5


def exact_match(answer: str, gold: str) -> float:
    """1 if both are equal after stripping surrounding space and lower-casing, else 0."""
    return float(_plain(answer) == _plain(gold))


def anls(answer: str, gold: str) -> float:
    """1 minus the edit distance divided by the longer length; 0 if that quotient is one half or more.

    As in Biten et al., "Scene Text Visual Question Answering" (2019), with the text prepared as the ``anls`` package
    does: stripped, lower-cased, inner space collapsed.
    """
    distance = Levenshtein.normalized_distance(_collapsed(answer), _collapsed(gold))
    return 1.0 - distance if distance < ANLS_THRESHOLD else 0.0


def _plain(text: str) -> str:
    return text.strip().lower()


def _collapsed(text: str) -> str:
    return " ".join(text.lower().split())
