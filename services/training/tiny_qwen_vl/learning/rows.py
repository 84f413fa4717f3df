"""Prompts about one image as one row of tokens: the tree of their beginnings, in which what they share stands once.

A token sees itself and what leads to it. So a row computes exactly what separate prompts would, and a beginning, such
as the image, only once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from services.training.tiny_qwen_vl.model.prompt import Position

IGNORED: Final = -100
_NOBODY: Final = -1


@dataclass(slots=True)
class Row:
    """The tokens of a row; each knows the one before it in its prompt, its position and its label."""

    ids: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    positions: list[Position] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    _children: dict[tuple[int, int], int] = field(default_factory=dict)

    def add(self, prompt: Sequence[int], positions: Sequence[Position], answer: Sequence[int]) -> None:
        """Add a prompt, whose last token is labelled with the answer's first, and each of the answer's with the next.

        The answer's last token is not in the row: it is only foretold.
        """
        at = _NOBODY
        for token, position in zip(prompt, positions, strict=True):
            at = self._follow(at, token, position)
        last = positions[-1][0]
        for offset, token in enumerate(answer, start=1):
            self.labels[at] = token
            if offset < len(answer):
                at = self._follow(at, token, (last + offset,) * 3)

    def visible(self) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """(T, T): which tokens (columns) each token (rows) sees."""
        seen = np.eye(len(self.ids), dtype=np.bool_)
        for index, parent in enumerate(self.parents):
            if parent != _NOBODY:
                seen[index] |= seen[parent]
        return seen

    def _follow(self, parent: int, token: int, position: Position) -> int:
        """The token's index after its parent, added if it is not there."""
        index = self._children.setdefault((parent, token), len(self.ids))
        if index == len(self.ids):
            self.ids.append(token)
            self.labels.append(IGNORED)
            self.positions.append(position)
            self.parents.append(parent)
        return index
