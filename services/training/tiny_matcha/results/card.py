"""The model card, its figure and the measurements that it is rendered from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from services.training.shared.card import CARD_NAME, render, write_record
from services.training.tiny_matcha.data.charts import MAX_SHIFT_PIXELS, ChartType
from services.training.tiny_matcha.data.drawing import HEIGHT, WIDTH
from services.training.tiny_matcha.data.kinds import KINDS
from services.training.tiny_matcha.learning.fitting import Progress
from services.training.tiny_matcha.model.network import MAX_PATCHES
from services.training.tiny_matcha.results.evaluate import KindScore, mean_exact_match
from services.training.tiny_matcha.results.figures import draw_curves

CURVES_NAME = "curves.png"
_TEMPLATE = Path(__file__).with_name("card.md.jinja")


@dataclass(frozen=True, slots=True)
class Measurements:
    """Everything measured in one training: the content of ``eval.json``."""

    seed: int
    stages: list[dict[str, Any]]
    parameters: int
    machine: str
    history: list[Progress]
    held_out: list[KindScore]
    outside: dict[str, list[KindScore]]
    """Scores under each condition outside the training distribution, by its name."""


def write_card(folder: Path, measured: Measurements) -> None:
    """Write the measurements, the figure and the card into the model folder."""
    write_record(measured, folder)
    draw_curves(measured.history, folder / CURVES_NAME)
    (folder / CARD_NAME).write_text(render_card(measured), encoding="utf-8")


def render_card(measured: Measurements) -> str:
    """The card, in Markdown."""
    last = measured.history[-1]
    return render(
        _TEMPLATE,
        measured=measured,
        kinds=KINDS,
        mean=mean_exact_match(measured.held_out),
        baseline=float(np.mean([item.majority for item in measured.held_out])),
        outside={name: _outside_row(scores) for name, scores in measured.outside.items()},
        samples=last.samples,
        steps=last.step,
        minutes=last.seconds / 60,
        size=(WIDTH, HEIGHT),
        max_patches=MAX_PATCHES,
        max_shift=MAX_SHIFT_PIXELS,
        chart_types=[member.value for member in ChartType],
    )


def _outside_row(scores: list[KindScore]) -> dict[str, float]:
    return {
        "mean": mean_exact_match(scores),
        "n": sum(item.n for item in scores),
    }
