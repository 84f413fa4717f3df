"""The wire contract of the lens trace. Pydantic and the standard library only, so that clients can import it."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from services.wire.contract import WireRequest, WireResponse

MAX_TOP_K = 20
MAX_TRACKED = 16


class LensRequest(WireRequest):
    """Which parts of the lens trace to return."""

    top_k: int = Field(default=5, ge=1, le=MAX_TOP_K, description="Tokens per layer.")
    layers: list[int] | None = Field(
        default=None, min_length=1, max_length=256, description="Layers to read, 0 being the embedding; null means all."
    )
    tokens: Literal["first", "all"] = Field(default="first", description="Answer tokens to trace.")
    track: list[Annotated[str, StringConstraints(min_length=1, max_length=64)]] = Field(
        default=[], max_length=MAX_TRACKED, description="Strings of one token each, to follow through the layers."
    )
    image_tokens: bool = Field(default=False, description="Also read the chosen layers at the image tokens.")


class TokenProb(WireResponse):
    """A token that a layer predicts, and its probability."""

    token: str
    token_id: int
    prob: float


class TrackedProb(WireResponse):
    """A tracked token's probability and rank at one layer."""

    token: str
    prob: float
    rank: int


class LayerTrace(WireResponse):
    """One layer's prediction of one answer token: its top tokens, its entropy, and the emitted token's rank."""

    layer: int = Field(description="0 is the embedding, i the output of block i; the last is the model's output.")
    top: list[TokenProb]
    entropy: float = Field(description="Entropy of the layer's distribution, in nats.")
    answer_prob: float = Field(description="The emitted token's probability at this layer.")
    answer_rank: int = Field(description="The emitted token's rank at this layer; 0 is the best.")
    track: list[TrackedProb] = Field(default=[], description="The tracked tokens, in the order requested.")


class LensStep(WireResponse):
    """The trace of one answer token."""

    token: str
    token_id: int
    layers: list[LayerTrace]


class TrackedGrid(WireResponse):
    """The probability of one tracked token in every cell: a map of where a layer predicts it."""

    token: str
    probs: list[list[float]] = Field(description="Rows of cells, top to bottom.")


class GridLayer(WireResponse):
    """One layer's prediction in every cell of an image, as rows of cells from top to bottom."""

    layer: int
    tokens: list[list[str]]
    token_ids: list[list[int]]
    probs: list[list[float]]
    track: list[TrackedGrid]


class ImageGrid(WireResponse):
    """The token grid of one image, rotated upright: cell (r, c) starts at (c * cell_width_px, r * cell_height_px), in
    pixels of the original image.
    """

    width_px: int
    height_px: int
    rows: int
    columns: int
    cell_width_px: float
    cell_height_px: float
    layers: list[GridLayer]


class LensTrace(WireResponse):
    """What each layer would have answered; ``num_layers`` blocks give ``num_layers + 1`` layers."""

    num_layers: int
    steps: list[LensStep]
    image_tokens: list[ImageGrid] | None = Field(default=None, description="A grid per image, if requested.")
