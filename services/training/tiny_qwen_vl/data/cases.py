"""Sets of images with one question each, from seeds that training never uses; every answer is equally frequent."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image

from services.training.tiny_qwen_vl.data.drawing import draw
from services.training.tiny_qwen_vl.data.questions import (
    KINDS,
    LANGUAGES,
    PHRASES,
    Language,
    SceneQuestion,
    ask,
    queries_of,
)
from services.training.tiny_qwen_vl.data.scenes import (
    MAX_ANSWER,
    MAX_ITEMS,
    TRAINED_STYLE,
    Query,
    Scene,
    SceneStyle,
    sample_scene,
)


@dataclass(frozen=True, slots=True)
class Case:
    """An image and a question about it."""

    image: Image.Image
    question: SceneQuestion


@dataclass(frozen=True, slots=True)
class CaseSet:
    """How the cases of a set are made; the defaults make the held-out set."""

    description: str
    languages: Sequence[Language] = LANGUAGES
    kinds: Sequence[str] = KINDS
    answers: Sequence[int] = tuple(range(MAX_ANSWER + 1))
    style: SceneStyle = TRAINED_STYLE
    max_items: int = MAX_ITEMS
    min_others: int = 0
    paint: Callable[[Scene], Image.Image] = draw
    phrases: Mapping[Language, Sequence[str]] | None = None

    def sample(self, rng: random.Random, per_cell: int) -> list[Case]:
        """``per_cell`` cases for each language, kind and answer."""
        return [
            self._case(rng, language, rng.choice(queries_of(kind, self.style)), answer)
            for language in self.languages
            for kind in self.kinds
            for answer in self.answers
            for _ in range(per_cell)
        ]

    def _case(self, rng: random.Random, language: Language, query: Query, answer: int) -> Case:
        others = rng.randint(self.min_others, max(self.min_others, self.max_items - answer))
        scene = sample_scene(rng, query, answer, others, self.style)
        phrases = (self.phrases or PHRASES)[language]
        return Case(self.paint(scene), ask(rng, scene, query, language, phrases))


HELD_OUT: Final = CaseSet("as trained, from other seeds")


def held_out_cases(per_cell: int) -> list[Case]:
    """The held-out set."""
    return HELD_OUT.sample(random.Random("tiny-qwen2-vl held out"), per_cell)
