"""The wire contract of the lens trace; ``schemas`` has the rest, and gives these names on.

Pydantic and the standard library only, so that a client may import it.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from services.wire.contract import WireRequest, WireResponse

MAX_TOP_K = 20
MAX_TRACKED = 16


class LensRequest(WireRequest):
    """Which part of the lens trace to return."""

    top_k: int = Field(default=5, ge=1, le=MAX_TOP_K, description="Tokens per layer.")
    layers: list[int] | None = Field(
        default=None, min_length=1, max_length=256, description="Layers to read, 0 being the embedding; null is all."
    )
    tokens: Literal["first", "all"] = Field(default="first", description="Answer tokens to trace.")
    track: list[Annotated[str, StringConstraints(min_length=1, max_length=64)]] = Field(
        default=[], max_length=MAX_TRACKED, description="Strings, one token each, to follow through the layers."
    )
    image_tokens: bool = Field(default=False, description="Also read the chosen layers where the images stand.")


class TokenProb(WireResponse):
    """A token that a layer would have answered, and its probability."""

    token: str
    token_id: int
    prob: float


class TrackedProb(WireResponse):
    """A token that the request follows: its probability and rank at one layer."""

    token: str
    prob: float
    rank: int


class LayerTrace(WireResponse):
    """One layer's view of one answer token: its best tokens, its entropy, and where the emitted token stands."""

    layer: int = Field(description="0 is the embedding, i the output of block i; the last is the model's own.")
    top: list[TokenProb]
    entropy: float = Field(description="Of the layer's distribution, in nats.")
    answer_prob: float = Field(description="The emitted token's probability at this layer.")
    answer_rank: int = Field(description="The emitted token's rank at this layer; 0 is the best.")
    track: list[TrackedProb] = Field(default=[], description="The tracked tokens, in the order asked for.")


class LensStep(WireResponse):
    """The trace of one answer token."""

    token: str
    token_id: int
    layers: list[LayerTrace]


class TrackedGrid(WireResponse):
    """The probability of one tracked token in every cell: a map of where a layer sees it."""

    token: str
    probs: list[list[float]] = Field(description="Rows of cells, from the top.")


class GridLayer(WireResponse):
    """What one layer decodes to in every cell of an image: rows of cells, from the top."""

    layer: int
    tokens: list[list[str]]
    token_ids: list[list[int]]
    probs: list[list[float]]
    track: list[TrackedGrid]


class ImageGrid(WireResponse):
    """One image of the request, upright, cut into its tokens: cell (r, c) covers the box from
    (c * cell_width_px, r * cell_height_px), in pixels of the image that was sent.
    """

    width_px: int
    height_px: int
    rows: int
    columns: int
    cell_width_px: float
    cell_height_px: float
    layers: list[GridLayer]


class LensTrace(WireResponse):
    """What every layer would have answered; ``num_layers`` blocks give ``num_layers + 1`` layers."""

    num_layers: int
    steps: list[LensStep]
    image_tokens: list[ImageGrid] | None = Field(default=None, description="A grid per image, if asked for.")
