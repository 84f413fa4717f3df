"""Greedy decoding with a key-value cache, for the backends without torch.

A runtime only has to provide a ``Graph``: named arrays in, named arrays out. Each image is encoded, and its first token
decoded, on its own: no time is spent on padding, and dynamic quantization ranges do not depend on other requests. Later
tokens are decoded as a batch, with the keys and values of smaller images padded and masked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from services.common.isolation import checkpoint
from services.matcha.backends.model_shape import ModelShape
from services.matcha.backends.onnx_names import (
    CROSS_ATTENTION,
    DECODER,
    DECODER_WITH_PAST,
    ENCODER,
    MASK,
    ONNX,
    PATCHES,
    STATES,
    past_names,
)
from services.matcha.patches import Floats

Arrays = Mapping[str, NDArray[Any]]
"""In the graph's types: int64, float32, and the runtime's own type for keys and values."""


class Graph(Protocol):
    """One graph in one runtime."""

    fixed_patches: int | None
    """The fixed number of patches of a graph exported by Optimum; None if any number is supported."""

    def __call__(self, inputs: Arrays) -> Arrays:
        """Run the graph and return outputs by name; inputs that it does not have are ignored."""
        ...


class Runtime(Protocol):
    """Loads a graph from its file."""

    def __call__(self, path: Path) -> Graph:
        """Load a graph."""
        ...


@dataclass(frozen=True, slots=True)
class _Begun:
    """An encoded image and its answer's first token: the decoder's keys and values, (1, heads, length, width)."""

    token: int
    own: Arrays
    seen: Arrays
    mask: NDArray[np.int64]  # (1, length): 1 for patches, 0 for padding


class GraphModel:
    """A ``Backend`` that decodes with the graphs of a folder in one runtime.

    ``ending`` is the file extension of the graphs.
    """

    def __init__(self, folder: Path, load: Runtime, ending: str = ONNX) -> None:
        self._shape = ModelShape.read(folder)
        self.positions = self._shape.positions
        self.end_token_ids = self._shape.end_token_ids
        self._encoder = load((folder / ENCODER).with_suffix(ending))
        self.fixed_patches = self._encoder.fixed_patches
        self._next_step = load((folder / DECODER_WITH_PAST).with_suffix(ending))
        cross = (folder / CROSS_ATTENTION).with_suffix(ending)
        self._cross = load(cross) if cross.is_file() else None
        self._first_step = None if self._cross else load((folder / DECODER).with_suffix(ending))

    def generate(self, patches: Sequence[Floats], limits: Sequence[int]) -> list[list[int]]:
        """See ``Backend``."""
        begun = [self._begin(rows) for rows in patches]
        answers = [[each.token] for each in begun]
        mask, seen = _together(begun)
        own: Arrays = {name: np.concatenate([each.own[name] for each in begun]) for name in begun[0].own}
        while not all(map(self._ended, answers, limits)):
            checkpoint()
            length = next(iter(own.values())).shape[2]
            outputs = self._next_step(
                {
                    "input_ids": np.array([answer[-1:] for answer in answers], dtype=np.int64),
                    MASK: np.ones((len(answers), length + 1), dtype=np.int64),
                    "encoder_attention_mask": mask,
                    **own,
                    **seen,
                }
            )
            own = self._past(outputs, "decoder")
            for answer, limit, logits in zip(answers, limits, outputs["logits"], strict=True):
                if not self._ended(answer, limit):
                    answer.append(int(logits[-1].argmax()))
        return answers

    def _ended(self, answer: list[int], limit: int) -> bool:
        return answer[-1] in self.end_token_ids or len(answer) >= limit

    def _begin(self, rows: Floats) -> _Begun:
        """Encode one image and decode the first token of its answer."""
        checkpoint()
        width = self.fixed_patches or len(rows)
        image = _stack([rows[None]], 1, width) if width > len(rows) else rows[None]
        mask = (np.arange(width) < len(rows)).astype(np.int64)[None]
        states = self._encoder({PATCHES: image, MASK: mask})[STATES]
        start = {
            "input_ids": np.array([[self._shape.start_token_id]], dtype=np.int64),
            MASK: np.ones((1, 1), dtype=np.int64),
            "encoder_attention_mask": mask,
        }
        if self._first_step:
            outputs = self._first_step({**start, "encoder_hidden_states": states})
            seen = self._past(outputs, "encoder")
        else:
            assert self._cross  # noqa: S101 one of the two is always loaded
            seen = self._past(self._cross({"encoder_hidden_states": states}), "encoder")
            outputs = self._next_step({**start, **self._nothing(), **seen})
        return _Begun(int(outputs["logits"][0, -1].argmax()), self._past(outputs, "decoder"), seen, mask)

    def _nothing(self) -> Arrays:
        """Empty keys and values, for an answer without tokens."""
        empty = np.zeros((1, self._shape.heads, 0, self._shape.head_width), dtype=np.float32)
        return dict.fromkeys(past_names("past_key_values", self._shape.layers, "decoder"), empty)

    def _past(self, outputs: Arrays, attention: str) -> Arrays:
        """Rename one attention's keys and values from a step's outputs to the next step's inputs."""
        names = past_names("present", self._shape.layers, attention)
        return {name.replace("present", "past_key_values"): outputs[name] for name in names}


def _together(begun: Sequence[_Begun]) -> tuple[NDArray[np.int64], Arrays]:
    """Stack the masks to (B, longest), and the images' keys and values, padded to the longest."""
    if len(begun) == 1:
        return begun[0].mask, begun[0].seen
    longest = max(each.mask.shape[1] for each in begun)
    seen = {name: _stack([each.seen[name] for each in begun], 2, longest) for name in begun[0].seen}
    return _stack([each.mask for each in begun], 1, longest), seen


def _stack(arrays: Sequence[NDArray[Any]], axis: int, longest: int) -> NDArray[Any]:
    """Concatenate arrays (1, ...), each padded with zeros along an axis."""
    padding = [[(0, longest - array.shape[axis] if at == axis else 0) for at in range(array.ndim)] for array in arrays]
    return np.concatenate([np.pad(array, widths) for array, widths in zip(arrays, padding, strict=True)])
