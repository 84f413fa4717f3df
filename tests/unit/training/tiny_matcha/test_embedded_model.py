"""The committed model: complete, small, and as good as its card says."""

import json
from pathlib import Path

import pytest
import torch

from services.common.artifact.manifest import verify
from services.training.tiny_matcha.data.held_out import held_out
from services.training.tiny_matcha.model.answering import Answerer
from services.training.tiny_matcha.results.evaluate import mean_exact_match, score

FOLDER = Path(__file__).parents[4] / "models" / "tiny-matcha"


def test_the_folder_is_whole_and_small() -> None:
    manifest = verify(FOLDER, "Pix2StructForConditionalGeneration")
    assert manifest.header_font is None
    assert (FOLDER / "model.safetensors").stat().st_size <= 12 * 2**20


def test_the_card_holds_what_was_asked_of_the_model() -> None:
    held = json.loads((FOLDER / "eval.json").read_text(encoding="utf-8"))["held_out"]
    assert sum(item["exact_match"] for item in held) / len(held) >= 80
    assert all(item["exact_match"] >= item["majority"] + 15 for item in held)


def test_a_small_held_out_set_agrees_with_the_card() -> None:
    torch.set_num_threads(1)
    card = json.loads((FOLDER / "eval.json").read_text(encoding="utf-8"))["held_out"]
    stated = sum(item["exact_match"] for item in card) / len(card)
    scores = score(Answerer(FOLDER), list(held_out(0, per_kind=8)))
    assert mean_exact_match(scores) == pytest.approx(stated, abs=10)
