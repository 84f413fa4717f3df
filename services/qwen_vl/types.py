"""The engine's inputs, outputs and limits, as plain values without torch.

The HTTP process imports them and must stay small; only the worker loads torch.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, Literal

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length"]
CacheUse = Literal["hit", "miss"]


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image file's bytes, decoded only if the image is not cached, and what errors call it."""

    data: bytes
    name: str = "image"


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation: texts and images in order."""

    role: Role
    parts: tuple[str | ImageFile, ...]


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters: greedy at temperature 0, else sampled from the ``top_p`` nucleus."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class LensOptions:
    """Which parts of the lens to read; ``layers`` None means all."""

    top_k: int = 5
    layers: tuple[int, ...] | None = None
    every_token: bool = False
    track: tuple[str, ...] = ()
    image_tokens: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """A conversation to answer, with options; pixel bounds of None mean the model's defaults."""

    turns: tuple[Turn, ...]
    max_new_tokens: int
    sampling: Sampling = Sampling()
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = None
    lens: LensOptions | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """Summary of a distribution over the vocabulary: top tokens, entropy, and the ranks of particular tokens."""

    token_ids: list[int]  # best first
    probs: list[float]
    entropy: float  # nats
    answer_prob: float
    answer_rank: int  # 0 is the best
    tracked: list[tuple[float, int]]  # probability and rank


@dataclass(frozen=True, slots=True)
class StepReading:
    """The layers' readings of one answer token, in the order of the requested layers."""

    token_id: int
    layers: list[Reading]


@dataclass(frozen=True, slots=True)
class GridReading:
    """The layers' readings of one image, one per cell, row by row from the top left."""

    width_px: int
    height_px: int
    rows: int
    columns: int
    layers: list[list[Reading]]


@dataclass(frozen=True, slots=True)
class LensReading:
    """A lens trace: the layers and tracked strings, and their readings."""

    layers: tuple[int, ...]
    track: tuple[str, ...]
    steps: list[StepReading]
    grids: list[GridReading] | None


@dataclass(frozen=True, slots=True)
class TokenScores:
    """Log probabilities of an answer token and of the top tokens at its position, as (token id, log probability)."""

    token: tuple[int, float]
    top: list[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Piece:
    """One step's addition to an answer; the text may be empty while a character or stop string is incomplete."""

    text: str
    scores: TokenScores | None


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer, its finish reason, token counts, timings and lens. ``cache`` is None if nothing could be cached."""

    text: str
    token_ids: list[int]
    finish_reason: FinishReason
    image_tokens: int
    prompt_tokens: int
    cached_tokens: int
    cache: CacheUse | None
    preprocess_ms: float
    inference_ms: float
    lens: LensReading | None


@dataclass(frozen=True, slots=True)
class ImageSpan:
    """An image's position in the prompt and its patch grid."""

    image: ImageFile
    digest: str  # sha256 of the file
    width_px: int  # of the original image, rotated upright
    height_px: int
    size: dict[str, int]  # pixel bounds for the image processor
    grid: tuple[int, int]  # rows and columns of patches
    start: int  # position of its first token
    tokens: int

    @property
    def end(self) -> int:
        """The position after the image's end marker."""
        return self.start + self.tokens + 1

    @property
    def key(self) -> Hashable:
        """Cache key of its features."""
        return "features", self.digest, self.grid


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on a request, and the size of the prefix cache."""

    max_pixels: int = 1_003_520
    max_prompt_tokens: int = 8192
    max_grid_readings: int = 4096
    cache_bytes: int = 200_000_000


LIMITS: Final = Limits()
"""The defaults."""
