import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from services.common.artifact.manifest import verify
from services.training.tiny_matcha.data.held_out import held_out
from services.training.tiny_matcha.learning.fitting import Progress, fit
from services.training.tiny_matcha.learning.optimizers import split_weights
from services.training.tiny_matcha.learning.recipe import Recipe
from services.training.tiny_matcha.model.answering import Answerer
from services.training.tiny_matcha.model.network import NetworkShape, build_network
from services.training.tiny_matcha.model.tokenizer import build_tokenizer
from services.training.tiny_matcha.results.evaluate import mean_exact_match, score
from services.training.tiny_matcha.train import train

SHORT = Recipe(
    shape=NetworkShape(hidden=32, feed_forward=32, heads=2, encoder_layers=1, decoder_layers=1),
    steps=2,
    batch=8,
    pool=16,
    validation=28,
    report_every=1,
)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_a_seed_gives_the_same_weights() -> None:
    first, again = (fit(SHORT, 0, lambda _: None).state_dict() for _ in range(2))
    other = fit(SHORT, 1, lambda _: None).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["decoder.lm_head.weight"], other["decoder.lm_head.weight"])


def test_progress_is_reported_as_asked_for() -> None:
    history: list[Progress] = []
    fit(SHORT, 0, history.append)
    assert [(progress.step, progress.samples) for progress in history] == [(1, 8), (2, 16)]
    for progress in history:
        assert all(0 <= share <= 1 for share in progress.exact_match.values())
        assert 2 < progress.answer_loss < 8  # nats; for some sixty tokens, little is learned in two steps
        assert 2 < progress.teaching_loss < 8
        assert progress.answer_loss != progress.teaching_loss


def test_a_stage_is_counted_on_from_the_one_before() -> None:
    before = Progress(100, 4800, 60.0, 1.0, 2.0, {"value": 0.5})
    stage = Progress(7, 336, 4.0, 0.25, 0.5, {"value": 0.75})
    assert stage.after(before) == Progress(107, 5136, 64.0, 0.25, 0.5, {"value": 0.75})


def test_every_weight_has_one_optimizer() -> None:
    network = build_network(SHORT.shape, build_tokenizer().get_vocab())
    groups = split_weights(network)
    assert sorted(id(weight) for group in groups for weight in group) == sorted(map(id, network.parameters()))
    assert all(weight.ndim == 2 for weight in (*groups[0], *groups[1]))


def test_rates_rise_and_fall_teaching_fades_and_charts_begin_to_move() -> None:
    recipe = Recipe(steps=1000, warm_up=10)
    rates = {0: 0.1, 8: 0.9, 9: 1, 10: 1, 333: 1, 500: 0.75, 800: 0.3, 999: 0.0015}
    assert {step: recipe.rate_scale(step) for step in rates} == pytest.approx(rates)
    weights = {0: 3, 350: 1.5, 630: 0.3, 700: 0, 900: 0}
    assert {step: recipe.teaching_at(step) for step in weights} == pytest.approx(weights)
    shifts = {0: 0, 39: 0, 40: 1, 119: 2, 120: 3, 160: 4, 199: 4, 200: 4, 999: 4}
    assert {step: recipe.shift_at(step) for step in shifts} == shifts
    assert replace(recipe, shift_share=0).shift_at(0) == 4


def test_the_command_writes_a_whole_folder_that_answers(tmp_path: Path) -> None:
    out = tmp_path / "model"
    out.mkdir()
    (out / "stale.txt").touch()
    train(out, seed=0, stages=(SHORT, replace(SHORT, charts="refine", shift_share=0)), per_kind=1)
    manifest = verify(out, "Pix2StructForConditionalGeneration")
    assert set(manifest.sha256) == {
        "README.md",
        "config.json",
        "curves.png",
        "eval.json",
        "generation_config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    history = json.loads((out / "eval.json").read_text(encoding="utf-8"))["history"]
    assert [progress["step"] for progress in history] == [1, 2, 3, 4]
    scores = score(Answerer(out), list(held_out(0, per_kind=1)))
    assert 0 <= mean_exact_match(scores) <= 100
