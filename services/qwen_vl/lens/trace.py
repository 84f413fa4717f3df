"""Collect the states of one answer during generation, and read them all in one go at the end."""

import torch

from services.qwen_vl.lens.readout import LogitLens, measure
from services.qwen_vl.types import GridReading, ImageSpan, LensOptions, LensReading, Reading, StepReading

_NO_ANSWER = 0
"""Placeholder for image tokens, which have no answer token; the answer fields of their readings are unused."""


class Trace:
    """The lens of one answer: ``layers`` are the layers to read, ascending, and ``track`` the token ids to follow."""

    def __init__(
        self, lens: LogitLens, options: LensOptions, layers: tuple[int, ...], last: int, track: list[int]
    ) -> None:
        self.options = options
        self._lens = lens
        self._layers = layers
        self._last = last
        self._track = torch.tensor(track, dtype=torch.long)
        self._token_ids: list[int] = []
        self._inner: list[torch.Tensor] = []  # per step (layers except the last, hidden)
        self._own: list[Reading] = []  # the last layer's, per step, if requested
        self._images: list[tuple[ImageSpan, torch.Tensor]] = []  # (layers, tokens, hidden)

    @property
    def wants_step(self) -> bool:
        """Whether the next answer token must be traced."""
        return self.options.every_token or not self._token_ids

    def add_step(self, states: list[torch.Tensor], logits: torch.Tensor, token_id: int) -> None:
        """Add the raw states (hidden) of every layer, and the logits (vocabulary) from which the token was picked."""
        self._token_ids.append(token_id)
        inner = [states[layer] for layer in self._layers if layer != self._last]
        self._inner.append(torch.stack(inner) if inner else logits.new_empty(0, 1))
        if self._last in self._layers:
            answer = torch.tensor([token_id], device=logits.device)
            self._own += measure(logits[None], answer, self.options.top_k, self._track.to(logits.device))

    def add_image(self, span: ImageSpan, states: list[torch.Tensor]) -> None:
        """Add the raw states (tokens, hidden) of every layer at an image's tokens."""
        self._images.append((span, torch.stack([states[layer] for layer in self._layers])))

    def read(self, merge: int) -> LensReading:
        """Read everything that was added; a token covers ``merge`` patches along each side."""
        return LensReading(
            layers=self._layers,
            track=self.options.track,
            steps=self._steps(),
            grids=[self._grid(*image, merge) for image in self._images] if self.options.image_tokens else None,
        )

    def _steps(self) -> list[StepReading]:
        per_step = len(self._inner[0])
        readings: list[Reading] = []
        if per_step:
            states = torch.cat(self._inner)
            answers = torch.tensor(self._token_ids, device=states.device).repeat_interleave(per_step)
            readings = list(self._lens.read(states, answers, self.options.top_k, self._track.to(states.device)))
        steps = []
        for number, token_id in enumerate(self._token_ids):
            layers = readings[number * per_step : (number + 1) * per_step]
            steps.append(StepReading(token_id, layers + self._own[number : number + 1]))
        return steps

    def _grid(self, span: ImageSpan, states: torch.Tensor, merge: int) -> GridReading:
        flat = states.flatten(0, 1)  # (layers · tokens, hidden)
        answers = torch.full((len(flat),), _NO_ANSWER, device=flat.device)
        readings = list(self._lens.read(flat, answers, 1, self._track.to(flat.device)))
        return GridReading(
            width_px=span.width_px,
            height_px=span.height_px,
            rows=span.grid[0] // merge,
            columns=span.grid[1] // merge,
            layers=[readings[at : at + span.tokens] for at in range(0, len(readings), span.tokens)],
        )
