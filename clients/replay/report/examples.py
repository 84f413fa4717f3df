"""Example questions of a run: some of the best and worst answers, with ties broken randomly by seed."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clients.replay.analysis.columns import NO_COUNT, RunColumns
from clients.replay.run.folder import RunFolder, kept_path
from clients.replay.run.outcomes import LensLayer, OutcomeReader, Scored
from clients.replay.scoring.counting import read_count
from clients.replay.scoring.gold import as_text
from clients.replay.tasks.task import Task

PER_VERDICT: Final = 3


@dataclass(frozen=True, slots=True)
class LayerCell:
    """A layer's top token and its probability; ``hit`` if it spells the gold answer."""

    layer: int
    token: str
    prob: float
    hit: bool


@dataclass(frozen=True, slots=True)
class Example:
    """One question as a card.

    ``image`` is a data URL, None if the run kept no copy; ``layers`` is empty without a lens trace.
    """

    question: str
    answer: str
    gold: str
    right: bool
    kind: str
    image: str | None
    layers: tuple[LayerCell, ...]


class Examples:
    """Selects outcomes by a run's columns, and reads the selected ones from its file."""

    def __init__(self, task: Task, columns: RunColumns, folder: RunFolder, seed: int) -> None:
        self._columns = columns
        self._folder = folder
        self._verdict = columns.scores[task.verdict.name]
        self._shuffled = np.random.default_rng(seed).permutation(columns.n)
        self._reader = OutcomeReader(folder.outcomes)

    def best(self) -> tuple[Example, ...]:
        """Some right answers."""
        return self._cards(self._ranked(self._verdict == 1, self._verdict), set())

    def worst(self, best: Sequence[Example] = ()) -> tuple[Example, ...]:
        """Some wrong answers: the lowest scores first, then the counts that are furthest off."""
        columns = self._columns
        numeric = (columns.wanted != NO_COUNT) & (columns.count != NO_COUNT)
        off = np.where(numeric, np.abs(columns.count - columns.wanted), 0)
        return self._cards(self._ranked(self._verdict < 1, self._verdict * 1000 - off), {card.image for card in best})

    def spotlight(self) -> Example | None:
        """The right answer whose top token changes most often between layers; None without traces or right answers."""
        lens = self._columns.lens
        if lens is None:
            return None
        best = lens.tokens[:, :, 0]
        changes = np.full(self._columns.n, -1)
        changes[lens.rows] = (best[:, 1:] != best[:, :-1]).sum(axis=1)
        fitting = (changes >= 0) & (self._verdict == 1) & self._columns.shown
        ranked = self._ranked(fitting, -changes.astype(np.float64))
        return self._example(int(ranked[0])) if ranked.size else None

    def _ranked(self, mask: NDArray[np.bool_], rank: NDArray[np.float64]) -> NDArray[np.int64]:
        """The masked outcomes, ordered by whether the image was kept, then by rank, then randomly."""
        chosen = self._shuffled[mask[self._shuffled]]
        ordered: NDArray[np.int64] = chosen[np.lexsort((rank[chosen], ~self._columns.shown[chosen]))]
        return ordered

    def _cards(self, ranked: NDArray[np.int64], shown: set[str | None]) -> tuple[Example, ...]:
        """Cards for the first outcome of each image, then others, preferring images not in ``shown``."""
        few = ranked[:1000]  # more would not change the top
        _, firsts = np.unique(self._columns.pictures.codes[few], return_index=True)
        fresh = few[np.sort(firsts)]
        others = few[~np.isin(few, fresh)]
        cards = [self._example(int(row)) for row in np.concatenate([fresh, others])[: 4 * PER_VERDICT]]
        cards.sort(key=lambda card: card.image in shown)
        return tuple(cards[:PER_VERDICT])

    def _example(self, row: int) -> Example:
        outcome = self._reader.at(int(self._columns.offsets[row]))
        if not isinstance(outcome, Scored):
            message = f"line at {self._columns.offsets[row]} is not an answer"
            raise TypeError(message)
        gold = as_text(outcome.gold)
        layers = outcome.lens.layers if outcome.lens else ()
        return Example(
            question=outcome.question,
            answer=outcome.answer,
            gold=gold,
            right=bool(self._verdict[row] == 1),
            kind=outcome.labels.get("kind") or outcome.labels.get("complexity") or outcome.answer_type.value,
            image=_data_url(self._file(outcome)),
            layers=tuple(_cell(index, layer, gold) for index, layer in enumerate(layers) if layer.tokens),
        )

    def _file(self, outcome: Scored) -> Path | None:
        path = kept_path(self._folder.pictures, outcome.image_sha256) if outcome.image_sha256 else None
        return path if path and path.is_file() else None


def _cell(index: int, layer: LensLayer, gold: str) -> LayerCell:
    token = layer.tokens[0]
    wanted = read_count(gold)
    hit = read_count(token) == wanted if wanted is not None else token.strip().lower() == gold.strip().lower()
    return LayerCell(index, token, layer.probs[0], hit)


def _data_url(path: Path | None) -> str | None:
    return f"data:image/webp;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}" if path else None
