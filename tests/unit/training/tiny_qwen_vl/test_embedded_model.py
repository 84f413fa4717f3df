"""The committed model: whole, small, and as good as its card says."""

import json
from pathlib import Path

import pytest

from services.common.artifact.manifest import verify
from services.training.tiny_qwen_vl.data.cases import held_out_cases
from services.training.tiny_qwen_vl.model.answering import Model
from services.training.tiny_qwen_vl.results.card import rise_of
from services.training.tiny_qwen_vl.results.evaluate import ask_all, layer_scores, score

FOLDER = Path(__file__).parents[4] / "models/tiny-qwen2-vl"


@pytest.fixture(scope="module")
def embedded() -> Model:
    return Model.load(FOLDER)


def test_it_is_whole_and_small() -> None:
    verify(FOLDER, "Qwen2VLForConditionalGeneration")
    assert (FOLDER / "model.safetensors").stat().st_size <= 12 * 2**20


def test_it_answers_held_out_questions_in_their_language(embedded: Model) -> None:
    assert score(ask_all(embedded, held_out_cases(per_cell=5))).accuracy >= 85


def test_its_lens_rises_layer_by_layer(embedded: Model) -> None:
    rise = rise_of(layer_scores(ask_all(embedded, held_out_cases(per_cell=5))))
    assert rise.rising_layers >= 4
    assert rise.largest_share <= 50


def test_its_card_states_the_recorded_measurements() -> None:
    recorded = json.loads((FOLDER / "eval.json").read_text(encoding="utf-8"))["results"]
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"| **held-out set** | {recorded['overall']['accuracy']:.1f} |" in card
