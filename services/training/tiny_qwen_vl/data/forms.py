"""In which form a question is put: the order of its parts, the system turn, and what was asked before it.

OpenAI's own examples put the text before the image, as do LangChain, LlamaIndex and ``llm``; Qwen's put it after.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.training.tiny_qwen_vl.data.questions import SceneQuestion, numeral

Messages = list[dict[str, Any]]
"""Turns as chat templates take them."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a question is put; by default the image comes first, and the chat template's own system turn before it."""

    text_first: bool = False
    system: str | None = None
    earlier: SceneQuestion | None = None
    """Asked about the image, and answered, before."""

    def messages(self, question: str) -> Messages:
        """The conversation that ends with the question."""
        turns: Messages = [{"role": "system", "content": self.system}] if self.system else []
        if self.earlier is None:
            return [*turns, self._with_image(question)]
        answer = numeral(self.earlier.answer, self.earlier.language)
        asked = [self._with_image(self.earlier.text), {"role": "assistant", "content": answer}]
        return [*turns, *asked, {"role": "user", "content": question}]

    def _with_image(self, question: str) -> dict[str, Any]:
        image, text = {"type": "image"}, {"type": "text", "text": question}
        return {"role": "user", "content": [text, image] if self.text_first else [image, text]}


IMAGE_FIRST: Final = Form()
TEXT_FIRST: Final = Form(text_first=True)

_ROLES: Final = (
    "You are a careful assistant.",
    "You are an expert at counting.",
    "You look at pictures.",
    "Act as a teacher.",
    "你是一个助手。",
    "你很会数数。",
)
_ORDERS: Final = ("Answer briefly.", "Answer with a number only.", "Be exact.", "Do not explain.", "请简短回答。", "")
_HALF: Final = 0.5
UNSEEN_SYSTEMS: Final = (
    "Reply with one numeral.",
    "You are a helpful vision model. Look closely and say how many.",
    "你是一个视觉模型，请只回答数字。",
)
"""System turns that training never uses."""


def system_turn(rng: random.Random) -> str:
    """A system turn for training."""
    return f"{rng.choice(_ROLES)} {rng.choice(_ORDERS)}".strip()


def training_forms(rng: random.Random, questions: Sequence[SceneQuestion]) -> list[Form]:
    """A form for each of several questions about one image: the two orders in turn.

    The last may have a system turn of its own, or come after the first question.
    """
    *others, _ = questions
    forms = [Form(text_first=number % 2 == 1) for number in range(len(others))]
    order = rng.random() < _HALF
    last = rng.choice((Form(order), Form(order, system=system_turn(rng)), Form(order, earlier=questions[0])))
    return [*forms, last if others else Form(order)]
