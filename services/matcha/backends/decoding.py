"""Greedy decoding for the backends without torch: token after token, the keys and values of those before at hand.

A runtime gives one thing, a ``Graph``: named arrays in, named arrays out. Images are encoded one by one, and so is
each answer's first token; no padding is computed, and nothing that is quantized by its largest value sees another
request. The tokens that follow are decoded together, the keys and values of smaller images padded and masked.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

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
"""Of a graph's own types: int64, float32, and for keys and values what the runtime keeps them in."""


class Graph(Protocol):
    """One graph in one runtime."""

    fixed_patches: int | None
    """How many patches the graph is bound to, as Optimum's are; None if it takes any number."""

    def __call__(self, inputs: Arrays) -> Arrays:
        """Outputs by name; inputs that the graph does not have are passed over."""
        ...


class Runtime(Protocol):
    """Loads a graph from its file."""

    def __call__(self, path: Path) -> Graph:
        """The graph, ready to run."""
        ...


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Sizes and tokens of a model, from the configurations in its folder."""

    positions: int
    layers: int
    heads: int
    head_width: int
    encoder_heads: int
    encoder_head_width: int
    start_token_id: int
    eos_token_id: int

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The shape of the model in a folder: ``config.json``, and ``generation_config.json`` where it says more."""
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        text, vision = config["text_config"], config["vision_config"]
        generation = folder / "generation_config.json"
        tokens = {**text, **(json.loads(generation.read_text(encoding="utf-8")) if generation.is_file() else {})}
        return cls(
            positions=vision["seq_len"],
            layers=text["num_layers"],
            heads=text["num_heads"],
            head_width=text["d_kv"],
            encoder_heads=vision["num_attention_heads"],
            encoder_head_width=vision["d_kv"],
            start_token_id=tokens["decoder_start_token_id"],
            eos_token_id=tokens["eos_token_id"],
        )


@dataclass(frozen=True, slots=True)
class _Begun:
    """An image and the first token of its answer: the decoder's keys and values of both, (1, heads, length, width)."""

    token: int
    own: Arrays
    seen: Arrays
    mask: NDArray[np.int64]  # (1, length): which of the seen are patches


class GraphModel:
    """The graphs of one folder in one runtime, with the decoding between them; a ``Backend``.

    ``ending`` is that of the graphs' files.
    """

    def __init__(self, folder: Path, load: Runtime, ending: str = ONNX) -> None:
        self._shape = ModelShape.read(folder)
        self.positions = self._shape.positions
        self.eos_token_id = self._shape.eos_token_id
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
        return answer[-1] == self.eos_token_id or len(answer) >= limit

    def _begin(self, rows: Floats) -> _Begun:
        """Encode one image, and decode the first token of its answer."""
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
            assert self._cross  # noqa: S101 one of the two was loaded
            seen = self._past(self._cross({"encoder_hidden_states": states}), "encoder")
            outputs = self._next_step({**start, **self._nothing(), **seen})
        return _Begun(int(outputs["logits"][0, -1].argmax()), self._past(outputs, "decoder"), seen, mask)

    def _nothing(self) -> Arrays:
        """The past of an answer that has no token yet."""
        empty = np.zeros((1, self._shape.heads, 0, self._shape.head_width), dtype=np.float32)
        return dict.fromkeys(past_names("past_key_values", self._shape.layers, "decoder"), empty)

    def _past(self, outputs: Arrays, attention: str) -> Arrays:
        """Keys and values of an attention, from outputs of one step to inputs of the next."""
        names = past_names("present", self._shape.layers, attention)
        return {name.replace("present", "past_key_values"): outputs[name] for name in names}


def _together(begun: Sequence[_Begun]) -> tuple[NDArray[np.int64], Arrays]:
    """Masks (B, longest), and the images' keys and values padded to the longest and stacked."""
    if len(begun) == 1:
        return begun[0].mask, begun[0].seen
    longest = max(each.mask.shape[1] for each in begun)
    seen = {name: _stack([each.seen[name] for each in begun], 2, longest) for name in begun[0].seen}
    return _stack([each.mask for each in begun], 1, longest), seen


def _stack(arrays: Sequence[NDArray[Any]], axis: int, longest: int) -> NDArray[Any]:
    """Arrays (1, ...) one after the other, each padded with zeros along an axis."""
    room = [[(0, longest - array.shape[axis] if each == axis else 0) for each in range(array.ndim)] for array in arrays]
    return np.concatenate([np.pad(array, widths) for array, widths in zip(arrays, room, strict=True)])
