"""Questions that put a query into words, in English and Chinese, and their answers.

An English question is answered with a digit, a Chinese one with a Han numeral. Both are single tokens, so the lens
shows which of the two a layer holds.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from services.training.tiny_qwen_vl.data.scenes import (
    COLOURS,
    MAX_ANSWER,
    SHAPES,
    TRAINED_STYLE,
    Query,
    Scene,
    SceneStyle,
)

Language = Literal["en", "zh"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh")

DIGITS: Final = "0123456789"
HAN_NUMERALS: Final = "零一二三四五六七八九"
KINDS: Final = ("total", "colour", "shape", "colour and shape")

_HAN_COLOURS: Final = dict(zip(COLOURS, ("红色", "绿色", "蓝色", "黄色", "紫色", "黑色"), strict=True))
_HAN_SHAPES: Final = dict(zip(SHAPES, ("圆形", "正方形", "三角形", "星形", "十字形", "圆环"), strict=True))

# {things} is what the query counts: "shapes", "red shapes", "stars", "red stars"; in Chinese, 红色的星形.
PHRASES: Final[dict[Language, tuple[str, ...]]] = {
    "en": (
        "How many {things} are there?",
        "How many {things} are in the picture?",
        "How many {things} can you see?",
        "Count the {things}.",
        "What is the number of {things}?",
    ),
    "zh": (
        "图中有几个{things}？",
        "图中有多少个{things}？",
        "一共有几个{things}？",
        "{things}有几个？",
        "数一数{things}。",
    ),
}


@dataclass(frozen=True, slots=True)
class SceneQuestion:
    """A question about a scene as it is put to the model, and its answer."""

    text: str
    language: Language
    kind: str
    answer: int


def numeral(count: int, language: Language) -> str:
    """The answer that the model should give: one character."""
    return (DIGITS if language == "en" else HAN_NUMERALS)[count]


def count_of(text: str) -> int | None:
    """The count that an answer gives, as a digit or as a Han numeral; None if it is neither."""
    position = max(DIGITS.find(text), HAN_NUMERALS.find(text)) if len(text) == 1 else -1
    return position if position >= 0 else None


def things(query: Query, language: Language) -> str:
    """What the query counts, in words."""
    if language == "zh":
        colour = f"{_HAN_COLOURS[query.colour]}的" if query.colour else ""
        return colour + (_HAN_SHAPES[query.shape] if query.shape else "图形")
    shape = {"cross": "crosses"}.get(query.shape, f"{query.shape}s") if query.shape else "shapes"
    return f"{query.colour} {shape}" if query.colour else shape


def queries_of(kind: str, style: SceneStyle = TRAINED_STYLE) -> tuple[Query, ...]:
    """Every query of a kind, for the colours and shapes of a style."""
    colours: Sequence[str | None] = style.colours if "colour" in kind else [None]
    shapes: Sequence[str | None] = style.shapes if "shape" in kind else [None]
    return tuple(Query(colour, shape) for colour in colours for shape in shapes)


def ask(
    rng: random.Random, scene: Scene, query: Query, language: Language, phrases: Sequence[str] | None = None
) -> SceneQuestion:
    """The query in one of ``phrases``, by default those of the language, with its answer in this scene."""
    text = rng.choice(phrases or PHRASES[language]).format(things=things(query, language))
    return SceneQuestion(text, language, query.kind, scene.count(query))


def further_queries(rng: random.Random, scene: Scene, number: int) -> list[Query]:
    """More queries about a scene: for each, a kind is drawn, then one of the kind's possible answers, then a query.

    The answer is drawn before the query because most queries count nothing and would crowd out the rest.
    """
    return [_further(rng, scene) for _ in range(number)]


QUERIES: Final = {kind: queries_of(kind) for kind in KINDS}
"""Every query used in training, by kind."""


def _further(rng: random.Random, scene: Scene) -> Query:
    by_answer: dict[int, list[Query]] = {}
    candidates: Sequence[Query] = QUERIES[rng.choice(KINDS)]
    for query in candidates:
        by_answer.setdefault(scene.count(query), []).append(query)
    answers = [answer for answer in sorted(by_answer) if answer <= MAX_ANSWER]
    return rng.choice(by_answer[rng.choice(answers)]) if answers else _further(rng, scene)


def all_texts() -> list[str]:
    """Every possible question and answer: the texts that the tokenizer is trained on."""
    texts = [
        phrase.format(things=things(query, language))
        for language in LANGUAGES
        for phrase in PHRASES[language]
        for queries in QUERIES.values()
        for query in queries
    ]
    return texts + [numeral(count, language) for language in LANGUAGES for count in range(MAX_ANSWER + 1)]
