"""A few questions of a run to look at: some that were answered right and some that were not, chosen by seed."""

import base64
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from clients.replay.gold import as_text
from clients.replay.outcomes import LensLayer, Scored
from clients.replay.pictures import kept_path
from clients.replay.scoring.counting import read_count
from clients.replay.tasks.task import Task

PER_VERDICT: Final = 3


@dataclass(frozen=True, slots=True)
class LayerCell:
    """A layer's best token and its probability; ``hit`` if it spells the gold answer."""

    layer: int
    token: str
    prob: float
    hit: bool


@dataclass(frozen=True, slots=True)
class Example:
    """One question as a card.

    ``picture`` is a data URL, None if the run kept no copy; ``layers`` is empty without lens.
    """

    question: str
    answer: str
    gold: str
    right: bool
    kind: str
    picture: str | None
    layers: tuple[LayerCell, ...]


def choose_examples(task: Task, outcomes: Sequence[Scored], pictures: Path, seed: int) -> tuple[Example, ...]:
    """Some right ones, then some wrong ones, of as many pictures as can be; those whose picture was kept come first."""
    shuffled = random.Random(seed).sample(outcomes, len(outcomes))  # noqa: S311 - a choice, no secret
    shuffled.sort(key=lambda outcome: _file(outcome, pictures) is None)
    chosen: list[Scored] = []
    for right in (True, False):
        matching = [outcome for outcome in shuffled if _is_right(task, outcome) is right]
        chosen += _of_new_pictures(matching, {outcome.image for outcome in chosen})[:PER_VERDICT]
    return tuple(_example(task, outcome, pictures) for outcome in chosen)


def choose_spotlight(task: Task, outcomes: Sequence[Scored], pictures: Path, seed: int) -> Example | None:
    """The right answer whose layers changed their mind most often; None for a run without lens or right answers."""
    traced = [outcome for outcome in outcomes if outcome.lens and _is_right(task, outcome) and _file(outcome, pictures)]
    shuffled = random.Random(seed).sample(traced, len(traced))  # noqa: S311 - a choice, no secret
    chosen = max(shuffled, key=_changes, default=None)
    return _example(task, chosen, pictures) if chosen else None


def _is_right(task: Task, outcome: Scored) -> bool:
    return task.verdict.score(outcome.answer, outcome.gold, outcome.answer_type) == 1


def _of_new_pictures(outcomes: Sequence[Scored], shown: set[str]) -> list[Scored]:
    # the first of each picture not shown yet, then all others
    fresh: dict[str, Scored] = {}
    for outcome in outcomes:
        if outcome.image not in shown:
            fresh.setdefault(outcome.image, outcome)
    return [*fresh.values(), *(outcome for outcome in outcomes if fresh.get(outcome.image) is not outcome)]


def _changes(outcome: Scored) -> int:
    tokens = [layer.tokens[:1] for layer in outcome.lens.layers] if outcome.lens else []
    return sum(before != after for before, after in pairwise(tokens))


def _example(task: Task, outcome: Scored, pictures: Path) -> Example:
    gold = as_text(outcome.gold)
    layers = outcome.lens.layers if outcome.lens else ()
    return Example(
        question=outcome.question,
        answer=outcome.answer,
        gold=gold,
        right=_is_right(task, outcome),
        kind=outcome.labels.get("kind") or outcome.labels.get("complexity") or outcome.answer_type.value,
        picture=_data_url(_file(outcome, pictures)),
        layers=tuple(_cell(index, layer, gold) for index, layer in enumerate(layers) if layer.tokens),
    )


def _cell(index: int, layer: LensLayer, gold: str) -> LayerCell:
    token = layer.tokens[0]
    wanted = read_count(gold)
    hit = read_count(token) == wanted if wanted is not None else token.strip().lower() == gold.strip().lower()
    return LayerCell(index, token, layer.probs[0], hit)


def _file(outcome: Scored, pictures: Path) -> Path | None:
    path = kept_path(pictures, outcome.image_sha256) if outcome.image_sha256 else None
    return path if path and path.is_file() else None


def _data_url(path: Path | None) -> str | None:
    return f"data:image/webp;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}" if path else None
