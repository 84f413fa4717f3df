"""What goes into the engine and what comes out, and what a request may cost: plain values."""

from dataclasses import dataclass
from typing import Final, Literal

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class ChartQuestion:
    """A question about a chart, as the bytes of a file, and how much to spend on it.

    ``max_patches`` None is the model's own.
    """

    image: bytes
    text: str
    max_new_tokens: int
    max_patches: int | None = None


@dataclass(frozen=True, slots=True)
class ChartAnswer:
    """The answer, how it ended, and what it took."""

    text: str
    finish_reason: FinishReason
    patches: int
    completion_tokens: int
    preprocess_ms: float
    inference_ms: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may cost: the patches that it may ask for, and how many it gets if it does not ask."""

    max_patches: int = 4096
    default_patches: int = 2048  # of Pix2Struct's own processor


LIMITS: Final = Limits()
"""Unless the settings say otherwise."""
