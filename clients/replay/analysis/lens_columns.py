"""Lens traces as arrays, with tokens as indices into a vocabulary, so that a hundred thousand fit in memory."""

from array import array
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clients.replay.run.outcomes import Lens


@dataclass(frozen=True, slots=True)
class LensColumns:
    """The traces of t outcomes, with L layers each and the top K tokens per layer.

    ``rows`` (t,) are the outcomes' rows in their run; ``tokens`` (t, L, K) are indices into ``vocabulary``, -1 where a
    layer has fewer; ``entropy`` (t, L) is in nats. ``other`` traces are excluded because their depth differs from the
    first: they are another model's.
    """

    rows: NDArray[np.int64]
    tokens: NDArray[np.int32]
    entropy: NDArray[np.float32]
    vocabulary: tuple[str, ...]
    other: int


class LensGatherer:
    """Collects traces one at a time."""

    def __init__(self) -> None:
        self._vocabulary: dict[str, int] = {}
        self._rows, self._tokens, self._entropy = array("q"), array("i"), array("f")
        self._depth = self._width = self._other = 0

    def add(self, row: int, lens: Lens) -> None:
        """Add the trace of the outcome in this row."""
        if not self._rows:
            self._depth = len(lens.layers)
            self._width = max((len(layer.tokens) for layer in lens.layers), default=0)
        if not self._width or len(lens.layers) != self._depth:
            self._other += 1
            return
        self._rows.append(row)
        number, width = self._vocabulary, self._width
        for layer in lens.layers:
            codes = [number.setdefault(token, len(number)) for token in layer.tokens[:width]]
            self._tokens.extend(codes if len(codes) == width else codes + [-1] * (width - len(codes)))
            self._entropy.append(layer.entropy)

    def columns(self, rows: NDArray[np.int64]) -> LensColumns | None:
        """The traces of the outcomes in these rows, renumbered 0, 1, 2 ...; None if there are none."""
        place = {int(row): place for place, row in enumerate(rows)}
        kept = np.array([index for index, row in enumerate(self._rows) if row in place], np.int64)
        if not kept.size:
            return None
        shape = (len(self._rows), self._depth)
        return LensColumns(
            rows=np.array([place[self._rows[index]] for index in kept], np.int64),
            tokens=np.array(self._tokens, np.int32).reshape(*shape, self._width)[kept],
            entropy=np.array(self._entropy, np.float32).reshape(shape)[kept],
            vocabulary=tuple(self._vocabulary),
            other=self._other,
        )
