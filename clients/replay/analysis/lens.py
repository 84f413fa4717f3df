"""What each layer would have answered: accuracy, Han script, entropy and settling per layer, over a run's traces.

Accuracy has two readings. *Latin* reads a layer's top token as a number if it is digits or an English word, as the
lens study's code did; *any script* reads Han and other numerals as well. The gap between them is how often a layer has
the right number in another script.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clients.replay.analysis.bootstrap import ClusterBootstrap, Interval, share_interval
from clients.replay.analysis.columns import NO_COUNT, RunColumns
from clients.replay.analysis.lens_columns import LensColumns
from clients.replay.scoring.counting import read_count, read_latin
from clients.replay.scoring.han import holds_han


@dataclass(frozen=True, slots=True)
class LayerMeasurements:
    """One layer over ``n`` traces; layer 0 is the embedding, the last is the model's own distribution.

    ``han_share[k - 1]`` is the share of traces with a Han character in one of the top k tokens. ``entropy`` is the
    mean, in nats, and ``entropy_quartiles`` the lower and upper quartile. ``settled`` is the share of traces whose top
    token is right from this layer to the last, but not in the layer before.
    """

    layer: int
    n: int
    accuracy_latin: float
    accuracy_latin_interval: Interval
    accuracy_any: float
    accuracy_any_interval: Interval
    han_share: tuple[float, ...]
    entropy: float
    entropy_quartiles: Interval
    settled: float


@dataclass(frozen=True, slots=True)
class AnswerMeasurements:
    """Accuracy per layer, in any script, over the traces of one gold count."""

    gold: int
    n: int
    accuracy: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class LensMeasurements:
    """Every layer of a run's traces, and the majority baseline of the same questions.

    ``never_settled`` is the share of traces whose last layer is wrong; ``other`` counts the traces that are excluded
    because they have a different depth.
    """

    n: int
    top_k: int
    baseline: float
    layers: tuple[LayerMeasurements, ...]
    answers: tuple[AnswerMeasurements, ...]
    never_settled: float
    other: int


def measure_lens(columns: RunColumns, bootstrap: ClusterBootstrap) -> LensMeasurements | None:
    """Measurements over the counting questions with a trace; None if there are none."""
    lens = columns.lens
    if lens is None:
        return None
    wanted = columns.wanted[lens.rows]
    latin, any_script = _right(lens, wanted, read_latin), _right(lens, wanted, read_count)
    intervals = _intervals(np.concatenate([latin, any_script], axis=1), lens.rows, bootstrap)
    settled, han = _settled(any_script), _han_shares(lens)
    quartiles = np.quantile(lens.entropy, [0.25, 0.75], axis=0)
    depth = latin.shape[1]
    layers = tuple(
        LayerMeasurements(
            layer=layer,
            n=len(wanted),
            accuracy_latin=float(latin[:, layer].mean()),
            accuracy_latin_interval=intervals[layer],
            accuracy_any=float(any_script[:, layer].mean()),
            accuracy_any_interval=intervals[depth + layer],
            han_share=tuple(han[layer].tolist()),
            entropy=float(lens.entropy[:, layer].mean(dtype=np.float64)),
            entropy_quartiles=(float(quartiles[0, layer]), float(quartiles[1, layer])),
            settled=float((settled == layer).mean()),
        )
        for layer in range(depth)
    )
    _, counts = np.unique(wanted, return_counts=True)
    return LensMeasurements(
        n=len(wanted),
        top_k=lens.tokens.shape[2],
        baseline=float(counts.max() / len(wanted)),
        layers=layers,
        answers=_by_answer(any_script, wanted),
        never_settled=float((settled == depth).mean()),
        other=lens.other,
    )


def _right(lens: LensColumns, wanted: NDArray[np.int64], read: Callable[[str], int | None]) -> NDArray[np.bool_]:
    """Whether each layer's top token spells the gold count, (t, L)."""
    # the last entry is for the -1 of a layer without tokens
    numbers = [NO_COUNT if (number := read(token)) is None else number for token in lens.vocabulary]
    table = np.array([*numbers, NO_COUNT], np.int64)
    right: NDArray[np.bool_] = (table[lens.tokens[:, :, 0]] == wanted[:, None]) & (wanted[:, None] != NO_COUNT)
    return right


def _han_shares(lens: LensColumns) -> NDArray[np.float64]:
    """The share of traces with a Han character among the top k tokens of each layer, (L, K)."""
    table = np.array([*map(holds_han, lens.vocabulary), False])
    han: NDArray[np.float64] = np.maximum.accumulate(table[lens.tokens], axis=2).mean(axis=0)
    return han


def _settled(right: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The first layer from which all layers are right; the number of layers if the last is wrong, (t,)."""
    stays = np.logical_and.accumulate(right[:, ::-1], axis=1)
    settled: NDArray[np.int64] = right.shape[1] - stays.sum(axis=1)
    return settled


def _by_answer(right: NDArray[np.bool_], wanted: NDArray[np.int64]) -> tuple[AnswerMeasurements, ...]:
    golds, counts = np.unique(wanted[wanted != NO_COUNT], return_counts=True)
    return tuple(
        AnswerMeasurements(int(gold), int(count), tuple(right[wanted == gold].mean(axis=0).tolist()))
        for gold, count in zip(golds, counts, strict=True)
    )


def _intervals(right: NDArray[np.bool_], rows: NDArray[np.int64], bootstrap: ClusterBootstrap) -> list[Interval]:
    ones = np.ones(len(right))
    totals = bootstrap.totals([ones, *right.T.astype(np.float64)], rows)
    with np.errstate(invalid="ignore"):  # a resample may have no trace
        shares = totals[:, 1:] / totals[:, :1]
    images = bootstrap.clusters_of(rows)
    return [
        share_interval(shares[:, column], float(right[:, column].mean()), images) for column in range(right.shape[1])
    ]
