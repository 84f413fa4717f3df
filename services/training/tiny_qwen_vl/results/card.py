"""The model card, rendered from the record, with its figures."""

import itertools
from dataclasses import dataclass
from pathlib import Path

from services.training.shared.card import CARD_NAME, render, write_record
from services.training.tiny_qwen_vl.results.evaluate import LayerScore
from services.training.tiny_qwen_vl.results.figures import draw_curves, draw_examples, draw_lens
from services.training.tiny_qwen_vl.results.record import Record

_TEMPLATE = Path(__file__).with_name("card.md.jinja")
_VISIBLE_RISE = 3.0
"""Percentage points by which a layer must improve on the one before to count as rising."""


@dataclass(frozen=True, slots=True)
class Rise:
    """How accuracy rises from the first layer to the last, in percentage points."""

    total: float
    largest_step: float
    largest_share: float
    """Share of the largest step in the total, in percent."""
    rising_layers: int


def rise_of(layers: tuple[LayerScore, ...]) -> Rise:
    """How gradually accuracy rises from layer to layer."""
    steps = [after.accuracy - before.accuracy for before, after in itertools.pairwise(layers)]
    total = layers[-1].accuracy - layers[0].accuracy
    share = 100 * max(steps) / total if total > 0 else 100.0
    return Rise(total, max(steps), share, sum(step >= _VISIBLE_RISE for step in steps))


def write_card(record: Record, folder: Path) -> None:
    """Write the record, the figures and the card into the model folder."""
    write_record(record, folder)
    draw_curves(record.training, folder / "curves.png")
    draw_lens(record.results.layers, folder / "lens.png")
    draw_examples(folder / "examples.png")
    (folder / CARD_NAME).write_text(render_card(record), encoding="utf-8")


def render_card(record: Record) -> str:
    """The card, in Markdown."""
    return render(_TEMPLATE, training=record.training, results=record.results, rise=rise_of(record.results.layers))
