"""Sets of images with one question each, from seeds that training never uses; every answer is equally frequent."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image

from services.training.tiny_qwen_vl.data.drawing import draw
from services.training.tiny_qwen_vl.data.forms import (
    IMAGE_FIRST,
    TEXT_FIRST,
    UNSEEN_SYSTEMS,
    Form,
    Messages,
)
from services.training.tiny_qwen_vl.data.questions import (
    KINDS,
    LANGUAGES,
    PHRASES,
    Language,
    SceneQuestion,
    ask,
    further_queries,
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
    """An image and a question about it, in its form."""

    image: Image.Image
    question: SceneQuestion
    form: Form = IMAGE_FIRST

    @property
    def messages(self) -> Messages:
        """The conversation that ends with the question."""
        return self.form.messages(self.question.text)


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
    put: Callable[[random.Random, Scene], Form] = lambda _rng, _scene: IMAGE_FIRST
    """The form of a question about a scene."""

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
        question = ask(rng, scene, query, language, phrases)
        return Case(self.paint(scene), question, self.put(rng, scene))


HELD_OUT: Final = CaseSet("as trained, from other seeds")


def held_out_cases(per_cell: int) -> list[Case]:
    """The held-out set."""
    return HELD_OUT.sample(random.Random("tiny-qwen2-vl held out"), per_cell)


def _with_a_system_turn(rng: random.Random, _scene: Scene) -> Form:
    return Form(rng.random() < _HALF, system=rng.choice(UNSEEN_SYSTEMS))


def _after_another(rng: random.Random, scene: Scene) -> Form:
    (query,) = further_queries(rng, scene, 1)
    return Form(rng.random() < _HALF, earlier=ask(rng, scene, query, rng.choice(LANGUAGES)))


_HALF: Final = 0.5

FORMS: Final = {
    "image first": HELD_OUT,
    "text first": CaseSet("the question before the image", put=lambda _rng, _scene: TEXT_FIRST),
    "own system turn": CaseSet("one that training never used, either order", put=_with_a_system_turn),
    "second question": CaseSet("after another one and its answer, either order", put=_after_another),
}
"""Sets like the held-out one, whose questions are put in different forms."""


def form_cases(name: str, per_cell: int) -> list[Case]:
    """The cases of a set of ``FORMS``."""
    return FORMS[name].sample(random.Random(f"tiny-qwen2-vl form {name}"), per_cell)
