"""Every variant on the embedded model: it answers as fp32 does, and batching never changes an answer."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import Pix2StructForConditionalGeneration
from transformers.models.pix2struct.modeling_pix2struct import Pix2StructTextModel

from services.common.artifact.manifest import ManifestError
from services.common.images import decode
from services.matcha.backends import Hardware
from services.matcha.backends.onnx_backend import OnnxGraph
from services.matcha.backends.openvino_backend import OpenVinoGraph
from services.matcha.backends.torch_backend import TorchBackend
from services.matcha.engine import ChartQA
from services.matcha.header import render_header
from services.matcha.header.fonts import load_font
from services.matcha.patches import flatten_patches, pad_patches
from services.matcha.types import ChartAnswer, ChartQuestion
from services.matcha.variants import VARIANTS, VariantName

Artifact = Callable[[str], Path]
Questions = list[tuple[ChartQuestion, str]]

FOLDERS: dict[VariantName, str] = {"openvino": "onnx-fp32"}
"""From which artifact a variant is served here, if not from one of its own name."""

ROUNDING: dict[VariantName, float] = {"fp32": 1e-3, "onnx-fp32": 1e-3}
"""Of a log probability; elsewhere logits may come in bfloat16, whose steps are 1/16 where most of them lie."""
CLOSE: dict[VariantName, float] = {"fp32": 1e-4, "bf16": 0.05, "int8": 0.05, "onnx-fp32": 1e-4, "openvino": 0.05}
"""How far a probability may be from that of transformers in fp32, for the variants of which that can be said."""


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> VariantName:
    each: VariantName = request.param
    return each


@pytest.fixture(scope="module")
def engine(variant: VariantName, artifact: Artifact) -> ChartQA:
    return ChartQA.load(artifact(FOLDERS.get(variant, variant)), None, variant, Hardware(threads=1))


def answers(engine: ChartQA, questions: list[ChartQuestion]) -> list[ChartAnswer]:
    given = engine.answer(questions)
    assert all(isinstance(each, ChartAnswer) for each in given)
    return [each for each in given if isinstance(each, ChartAnswer)]


@pytest.mark.parametrize("name", ["onnx-fp32", "openvino"])
def test_a_folder_of_links_is_served(
    name: VariantName, artifact: Artifact, bundled_questions: Questions, tmp_path: Path
) -> None:
    folder = artifact("onnx-fp32")
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    question, _ = bundled_questions[0]
    direct, linked = (ChartQA.load(each, None, name, Hardware(threads=1)) for each in (folder, tmp_path))
    assert answers(linked, [question])[0].text == answers(direct, [question])[0].text != ""


def test_links_to_files_of_other_names_are_refused_where_they_cannot_be_read(
    artifact: Artifact, tmp_path: Path
) -> None:
    """So a snapshot in the hub's cache is made up."""
    folder = shutil.copytree(artifact("onnx-fp32"), tmp_path / "blobs")
    (tmp_path / "snapshot").mkdir()
    for number, path in enumerate(sorted(folder.iterdir())):
        path.rename(folder / str(number))
        (tmp_path / "snapshot" / path.name).symlink_to(folder / str(number))
    with pytest.raises(ManifestError, match=r"is a link to .*: copy the folder with cp -rL"):
        ChartQA.load(tmp_path / "snapshot", None, "openvino", Hardware(threads=1))


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


@pytest.fixture
def logits(monkeypatch: pytest.MonkeyPatch) -> list[NDArray[np.float64]]:
    """Of each decoded token, in every runtime, while decoding."""
    decoded: list[NDArray[np.float64]] = []

    def noted(call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            outputs = call(*arguments, **options)
            if "logits" in outputs:
                rows = outputs["logits"][:, -1]
                decoded.extend(np.asarray(rows.float() if isinstance(rows, torch.Tensor) else rows, dtype=np.float64))
            return outputs

        return run

    for graph in (OnnxGraph, OpenVinoGraph):
        monkeypatch.setattr(graph, "__call__", noted(graph.__call__))
    monkeypatch.setattr(Pix2StructTextModel, "forward", noted(Pix2StructTextModel.forward))
    return decoded


def test_a_batch_never_changes_a_probability(
    engine: ChartQA, variant: VariantName, bundled_questions: Questions, logits: list[NDArray[np.float64]]
) -> None:
    """Texts can agree where logits do not; the images differ so much that padding errors would show."""

    def log_probabilities(asked: list[ChartQuestion]) -> tuple[list[ChartAnswer], NDArray[np.float64]]:
        logits.clear()
        given = answers(engine, asked)
        rows = np.stack(logits).reshape(-1, len(asked), len(logits[0]))  # (tokens, images, vocabulary)
        return given, rows - np.log(np.exp(rows).sum(axis=2, keepdims=True))

    asked = [
        ChartQuestion(question.image, question.text, 5, patches)
        for (question, _), patches in zip(bundled_questions, (60, 6, 90, 24), strict=False)
    ]
    together, batched = log_probabilities(asked)
    assert len({answer.patches // 10 for answer in together}) == len(asked)
    for index, question in enumerate(asked):
        (answer,), alone = log_probabilities([question])
        tokens = answer.completion_tokens
        assert np.abs(batched[:tokens, index] - alone[:tokens, 0]).max() < ROUNDING.get(variant, 0.2)


@pytest.fixture(scope="module")
def reference() -> Pix2StructForConditionalGeneration:
    folder = Path(__file__).parents[4] / "models/tiny-matcha"
    return Pix2StructForConditionalGeneration.from_pretrained(folder, attn_implementation="eager").eval()


@pytest.mark.parametrize("variant", CLOSE, indirect=True, scope="module")
def test_its_probabilities_are_those_of_transformers(
    engine: ChartQA,
    variant: VariantName,
    bundled_questions: Questions,
    logits: list[NDArray[np.float64]],
    reference: Pix2StructForConditionalGeneration,
) -> None:
    """Of an image padded in a batch and masked, as in transformers, and of each token after the previous ones."""
    drawn = [question for question, _ in bundled_questions if question.max_patches != 90]
    for question in drawn[:4]:
        answers(engine, [question])
        given = np.stack(logits)
        assert question.max_patches
        drawn_above = render_header(decode(question.image), question.text, load_font(None))
        rows = flatten_patches(drawn_above, question.max_patches)
        patches, mask = pad_patches([rows, np.ones((90, 770), dtype=np.float32)])
        written = [0, *given.argmax(axis=1)[:-1].tolist()]
        with torch.inference_mode():
            expected = reference(
                flattened_patches=torch.from_numpy(patches),
                attention_mask=torch.from_numpy(mask),
                decoder_input_ids=torch.tensor([written, written]),
            ).logits[0]
        logits.clear()
        difference = torch.from_numpy(given).softmax(dim=1) - expected.double().softmax(dim=1)
        assert difference.abs().max() < CLOSE[variant]


def test_each_answer_of_a_batch_has_its_own_limit(engine: ChartQA, bundled_questions: Questions) -> None:
    question = max((question for question, _ in bundled_questions), key=lambda each: len(each.text))
    short = ChartQuestion(question.image, question.text, 1, question.max_patches)
    cut, whole = answers(engine, [short, question])
    assert (cut.completion_tokens, cut.finish_reason) == (1, "length")
    assert whole.text == answers(engine, [question])[0].text
    assert whole.finish_reason == "stop"


def test_it_answers_as_fp32_does(engine: ChartQA, artifact: Artifact, bundled_questions: Questions) -> None:
    asked = [question for question, _ in bundled_questions if question.max_patches == 90]
    reference = ChartQA.load(artifact("fp32"), None, "fp32", Hardware(threads=1))
    given = [answers(engine, [question])[0].text for question in asked]
    expected = [answers(reference, [question])[0].text for question in asked]
    golds = [gold for question, gold in bundled_questions if question.max_patches == 90]
    assert sum(one == other for one, other in zip(given, expected, strict=True)) >= len(asked) - 1
    assert sum(one == gold for one, gold in zip(given, golds, strict=True)) >= 0.75 * len(golds)


SAMPLES = {
    "do_sample": True,
    "temperature": 9.0,
    "num_beams": 3,
    "num_return_sequences": 2,
    "length_penalty": 3.0,
    "repetition_penalty": 9.0,
    "no_repeat_ngram_size": 1,
    "min_length": 14,
    "max_length": 3,
    "suppress_tokens": [1],
    "return_dict_in_generate": True,
}
"""What must not reach an answer; each alone would change most, or end in an error."""


@pytest.mark.parametrize("variant", ["fp32", "onnx-fp32", "openvino"], indirect=True, scope="module")
@pytest.mark.parametrize("file", ["generation_config.json", "config.json"])
def test_what_a_model_says_of_decoding_does_not_change_an_answer(
    file: str,
    engine: ChartQA,
    variant: VariantName,
    artifact: Artifact,
    bundled_questions: Questions,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "sampling"
    shutil.copytree(artifact(FOLDERS.get(variant, variant)), folder, copy_function=os.link)
    generation = folder / "generation_config.json"
    tokens = json.loads(generation.read_text())
    generation.unlink()  # it is a link
    if file == "config.json":  # as version 4 saved it, without the other file
        config = json.loads((folder / file).read_text())
        config["text_config"] |= SAMPLES
        tokens = config
        (folder / file).unlink()
    (folder / file).write_text(json.dumps(tokens | SAMPLES))
    questions = [question for question, _ in bundled_questions[:6]]
    sampling = ChartQA.load(folder, None, variant, Hardware(threads=1))
    assert [each.text for each in answers(sampling, questions)] == [each.text for each in answers(engine, questions)]


def test_rows_beyond_256_are_not_rounded_in_bf16(artifact: Artifact) -> None:
    """bfloat16 has eight bits: in it, row 257 would become row 256."""
    backend = TorchBackend(artifact("bf16"), Hardware(threads=1), "bf16")
    rows = np.zeros((1, 770), dtype=np.float32)
    rows[0, 1] = 1
    states = []
    for row in (256, 257):
        rows[0, 0] = row
        states.append(backend._encode(rows))  # noqa: SLF001 what the row id changes
    assert not torch.equal(*states)
