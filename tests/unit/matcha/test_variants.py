"""Every variant on the embedded model: it answers as fp32 does, and a batch never changes an answer."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from services.matcha.backends import Hardware
from services.matcha.backends.torch_backend import TorchBackend
from services.matcha.engine import ChartAnswer, ChartQA, ChartQuestion
from services.matcha.settings import VARIANTS, Variant

Artifact = Callable[[str], Path]
Questions = list[tuple[ChartQuestion, str]]

FOLDERS: dict[Variant, str] = {"openvino": "onnx-fp32"}
"""From which artifact a variant is served here, if not from one of its own name."""


@pytest.fixture(scope="module", params=VARIANTS)
def engine(request: pytest.FixtureRequest, artifact: Artifact) -> ChartQA:
    variant: Variant = request.param
    return ChartQA(artifact(FOLDERS.get(variant, variant)), None, variant, Hardware(threads=1))


def answers(engine: ChartQA, questions: list[ChartQuestion]) -> list[ChartAnswer]:
    given = engine.answer(questions)
    assert all(isinstance(each, ChartAnswer) for each in given)
    return [each for each in given if isinstance(each, ChartAnswer)]


def test_a_batch_never_changes_an_answer(engine: ChartQA, bundled_questions: Questions) -> None:
    questions = [question for question, _ in bundled_questions[:12]]
    alone = [answers(engine, [question])[0] for question in questions]
    for size in (2, 3, 4):
        for start in range(0, len(questions), size):
            for one, batched in zip(alone[start:], answers(engine, questions[start : start + size]), strict=False):
                assert (batched.text, batched.finish_reason, batched.completion_tokens, batched.patches) == (
                    one.text,
                    one.finish_reason,
                    one.completion_tokens,
                    one.patches,
                )


def test_each_answer_of_a_batch_has_its_own_limit(engine: ChartQA, bundled_questions: Questions) -> None:
    question = max((question for question, _ in bundled_questions), key=lambda each: len(each.text))
    short = ChartQuestion(question.chart, question.text, question.max_patches, max_new_tokens=1)
    cut, whole = answers(engine, [short, question])
    assert (cut.completion_tokens, cut.finish_reason) == (1, "length")
    assert whole.text == answers(engine, [question])[0].text
    assert whole.finish_reason == "stop"


def test_it_answers_as_fp32_does(engine: ChartQA, artifact: Artifact, bundled_questions: Questions) -> None:
    asked = [question for question, _ in bundled_questions if question.max_patches == 90]
    reference = ChartQA(artifact("fp32"), None, "fp32", Hardware(threads=1))
    given = [answers(engine, [question])[0].text for question in asked]
    expected = [answers(reference, [question])[0].text for question in asked]
    golds = [gold for question, gold in bundled_questions if question.max_patches == 90]
    assert sum(one == other for one, other in zip(given, expected, strict=True)) >= len(asked) - 1
    assert sum(one == gold for one, gold in zip(given, golds, strict=True)) >= 0.75 * len(golds)


def test_rows_beyond_256_are_not_rounded_in_bf16(artifact: Artifact) -> None:
    """bfloat16 has eight bits: as such a number, row 257 would be row 256."""
    backend = TorchBackend(artifact("bf16"), threads=1, form="bf16")
    rows = np.zeros((1, 770), dtype=np.float32)
    rows[0, 1] = 1
    states = []
    for row in (256, 257):
        rows[0, 0] = row
        states.append(backend._encode(rows))  # noqa: SLF001 what the row id changes
    assert not torch.equal(*states)
