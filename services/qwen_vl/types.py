"""What goes into the engine and what comes out: plain values, known without torch.

The HTTP process handles them and must stay small; only the worker loads torch.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, Literal

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length"]
CacheUse = Literal["hit", "miss"]


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image as the bytes of a file: it is decoded only if it was not seen before."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation: texts and images in their order."""

    role: Role
    parts: tuple[str | ImageFile, ...]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a token is picked: the best one at temperature 0, else drawn from the ``top_p`` nucleus."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class LensOptions:
    """Which part of the lens to read; ``layers`` None is all of them."""

    top_k: int = 5
    layers: tuple[int, ...] | None = None
    every_token: bool = False
    track: tuple[str, ...] = ()
    image_tokens: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """A conversation to answer, and how; pixel bounds None are the model's own."""

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
    """A distribution over the vocabulary: its best tokens, its entropy, and where some tokens stand in it."""

    token_ids: list[int]  # best first
    probs: list[float]
    entropy: float  # nats
    answer_prob: float
    answer_rank: int  # 0 is the best
    tracked: list[tuple[float, int]]  # probability and rank


@dataclass(frozen=True, slots=True)
class StepReading:
    """The layers' readings of one answer token, in the order of the layers asked for."""

    token_id: int
    layers: list[Reading]


@dataclass(frozen=True, slots=True)
class GridReading:
    """The layers' readings of one image, a reading per cell, row by row from the top left."""

    width_px: int
    height_px: int
    rows: int
    columns: int
    layers: list[list[Reading]]


@dataclass(frozen=True, slots=True)
class LensReading:
    """A lens trace: which layers were read, and what they read as."""

    layers: tuple[int, ...]
    track: tuple[str, ...]
    steps: list[StepReading]
    grids: list[GridReading] | None


@dataclass(frozen=True, slots=True)
class TokenScores:
    """Log probabilities of an answer token and of the best ones at its place, as (token id, log probability)."""

    token: tuple[int, float]
    top: list[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Piece:
    """What one step adds to an answer; the text may be empty while a character or a stop string is incomplete."""

    text: str
    scores: TokenScores | None


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer, how it ended, what it took, and its lens. ``cache`` is None where there was nothing to keep."""

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
    """Where an image stands in the prompt, and how it is cut."""

    image: ImageFile
    digest: str  # sha256 of the file
    width_px: int  # of the image as it was sent, upright
    height_px: int
    size: dict[str, int]  # bounds that the image processor scales it into
    grid: tuple[int, int]  # rows and columns of patches
    start: int  # its first token
    tokens: int

    @property
    def end(self) -> int:
        """The position after the marker that closes the image."""
        return self.start + self.tokens + 1

    @property
    def key(self) -> Hashable:
        """What its features depend on."""
        return "features", self.digest, self.grid


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may cost."""

    max_pixels: int = 1_003_520
    max_prompt_tokens: int = 8192
    max_grid_readings: int = 4096
    cache_bytes: int = 200_000_000


LIMITS: Final = Limits()
"""Unless the settings say otherwise."""
