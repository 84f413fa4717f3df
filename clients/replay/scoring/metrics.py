"""The metrics: their names, labels and definitions, and how they score one answer.

Scores are from 0 to 1. Text metrics see a list as a model would write it, "A, B, C".
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from clients.replay.scoring import lists
from clients.replay.scoring.binary import binary_match
from clients.replay.scoring.counting import count_match
from clients.replay.scoring.gold import AnswerType, Gold, as_list, as_text
from clients.replay.scoring.reading import same_as_read
from clients.replay.scoring.relaxed import relaxed_pix2struct, relaxed_strict
from clients.replay.scoring.text import anls, exact_match


@dataclass(frozen=True, slots=True)
class Metric:
    """A named score: ``name`` in files, ``label`` and ``definition`` for people."""

    name: str
    label: str
    definition: str
    score: Callable[[str, Gold, AnswerType], float]


def majority(golds: Mapping[Gold, int]) -> str:
    """The most frequent gold answer, as lower-cased text; ties go to the alphabetically first.

    Raises:
        ValueError: there are no gold answers.
    """
    counts = Counter[str]()
    for gold, count in golds.items():
        counts[as_text(gold).strip().lower()] += count
    return min(counts, key=lambda text: (-counts[text], text))


def _of_text(score: Callable[[str, str], float], answer: str, gold: Gold, _: AnswerType) -> float:
    return score(answer, as_text(gold))


def _of_list(score: Callable[[str, tuple[str, ...]], float], answer: str, gold: Gold, _: AnswerType) -> float:
    return score(answer, as_list(gold))


def _by_type(answer: str, gold: Gold, answer_type: AnswerType) -> float:
    return _BY_TYPE[answer_type](answer, gold, answer_type)


def _as_read(answer: str, gold: Gold, _: AnswerType) -> float:
    return same_as_read(answer, gold) if isinstance(gold, str) else lists.ranked_exact(answer, gold)


_BY_TYPE: Final[Mapping[AnswerType, Callable[[str, Gold, AnswerType], float]]] = {
    AnswerType.STRING: partial(_of_text, same_as_read),
    AnswerType.NUMERICAL: partial(_of_text, relaxed_strict),
    AnswerType.BINARY: partial(_of_text, binary_match),
    AnswerType.RANKED_LIST: partial(_of_list, lists.ranked_ndcg),
    AnswerType.UNRANKED_LIST: partial(_of_list, lists.unranked_f1),
    AnswerType.COUNT: partial(_of_text, count_match),
}

EXACT_MATCH: Final = Metric(
    "exact_match",
    "Exact match",
    "Equal to the gold answer after stripping surrounding space and lower-casing; a list is written "
    "“A, B, C”, in the gold order.",
    partial(_of_text, exact_match),
)
EXACT_AS_READ: Final = Metric(
    "exact_match_as_read",
    "Exact match (as read)",
    "Exact match to a reader: Unicode's compatibility forms (NFKC), kinds of quotes, dashes and spaces, invisible "
    "characters and one final full stop make no difference. A list may be written as text, JSON or Python, in the gold "
    "order, and its numbers are compared by value.",
    _as_read,
)
RELAXED_STRICT: Final = Metric(
    "relaxed_strict",
    "Relaxed (strict)",
    "A number may be off by 5 %; anything else must match as read. Handles thousands separators, percent signs, zero "
    "and negative targets correctly, and allows no tolerance on years (2010, or 2010.0). Units and currencies are not "
    "read: “12 kg” and “$12” are text, not 12.",
    partial(_of_text, relaxed_strict),
)
RELAXED_PIX2STRUCT: Final = Metric(
    "relaxed_pix2struct",
    "Relaxed (Pix2Struct)",
    "Relaxed correctness exactly as in Pix2Struct's evaluation, quirks included, for comparison with published "
    "results: 1,000 is text, 50% is not 50, a zero target is compared as text, a year may be off by 5 %.",
    partial(_of_text, relaxed_pix2struct),
)
ANLS: Final = Metric(
    "anls",
    "ANLS",
    "One minus the normalised edit distance; 0 if the distance is 0.5 or more.",
    partial(_of_text, anls),
)
TYPED: Final = Metric(
    "by_type_rule",
    "Type-specific rule",
    "RealCQA's own rules, with the defects of its evaluator corrected. String: exact match (as read). Numerical: "
    "relaxed (strict), so that answers to negative targets can be wrong. Binary: yes and no in any spelling. Ranked "
    "list: nDCG at 10 in which the first item has the highest gain, not zero. Unranked list: F1 of the items as "
    "multisets, so that it cannot exceed 1. A list may be written as text, JSON or Python.",
    _by_type,
)
COUNT_ACCURACY: Final = Metric(
    "count_accuracy",
    "Accuracy",
    "The whole answer spells the gold count, in digits, as an English word or in Han numerals.",
    partial(_of_text, count_match),
)
