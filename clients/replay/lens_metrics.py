"""What the layers would have answered: accuracy, Han script and entropy per layer, over the traces of one run.

Accuracy is given in two readings. *Latin* takes a layer's best token for a number if it is digits or an English word;
*any script* reads Han numerals as well. The gap between both is how much a layer knows in Chinese.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from clients.replay.gold import AnswerType, as_text
from clients.replay.han import holds_han
from clients.replay.outcomes import Lens, LensLayer, Scored
from clients.replay.scoring.counting import read_count, read_latin


@dataclass(frozen=True, slots=True)
class LayerFigures:
    """One layer over ``n`` traces; layer 0 is the embedding, the last is the model's own distribution.

    ``han_share`` has one entry per k from 1 on: the share of traces in which one of the k best tokens holds a Han
    character. ``entropy`` is the mean, in nats.
    """

    layer: int
    n: int
    accuracy_latin: float
    accuracy_any: float
    han_share: tuple[float, ...]
    entropy: float


@dataclass(frozen=True, slots=True)
class LensFigures:
    """Every layer of a run's traces, and the majority baseline of the same questions."""

    n: int
    top_k: int
    baseline: float
    layers: tuple[LayerFigures, ...]


def lens_figures(outcomes: Sequence[Scored]) -> LensFigures | None:
    """Figures over the counting questions that came with a trace; None if none did.

    Traces of another depth than the first are left out: they are another model's.
    """
    counted = [outcome for outcome in outcomes if outcome.answer_type is AnswerType.COUNT]
    traced = [(read_count(as_text(outcome.gold)), outcome.lens) for outcome in counted if outcome.lens]
    depth = len(traced[0][1].layers) if traced else 0
    if not depth:
        return None
    golds = [gold for gold, lens in traced if len(lens.layers) == depth]
    lenses = [lens for _, lens in traced if len(lens.layers) == depth]
    layers = tuple(_layer(index, golds, lenses) for index in range(depth))
    ((_, commonest),) = Counter(golds).most_common(1)
    return LensFigures(len(golds), len(layers[0].han_share), commonest / len(golds), layers)


def _layer(index: int, golds: Sequence[int | None], lenses: Sequence[Lens]) -> LayerFigures:
    layers = [lens.layers[index] for lens in lenses]
    return LayerFigures(
        layer=index,
        n=len(layers),
        accuracy_latin=_accuracy(layers, golds, read_latin),
        accuracy_any=_accuracy(layers, golds, read_count),
        han_share=_han_share(layers),
        entropy=float(np.mean([layer.entropy for layer in layers])),
    )


def _accuracy(layers: Sequence[LensLayer], golds: Sequence[int | None], read: Callable[[str], int | None]) -> float:
    right = [
        gold is not None and bool(layer.tokens) and read(layer.tokens[0]) == gold
        for layer, gold in zip(layers, golds, strict=True)
    ]
    return float(np.mean(right))


def _han_share(layers: Sequence[LensLayer]) -> tuple[float, ...]:
    width = min(len(layer.tokens) for layer in layers)
    han = np.array([[holds_han(token) for token in layer.tokens[:width]] for layer in layers])  # (traces, k)
    return tuple(np.maximum.accumulate(han, axis=1).mean(axis=0).tolist())
