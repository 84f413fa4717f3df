"""The engine's inputs, outputs and limits, as plain values."""

from dataclasses import dataclass
from typing import Final, Literal

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class ChartQuestion:
    """A question about a chart, given as an image file's bytes, and the limits of its answer.

    ``max_patches`` None means the model's default.
    """

    image: bytes
    text: str
    max_new_tokens: int
    max_patches: int | None = None


@dataclass(frozen=True, slots=True)
class ChartAnswer:
    """The answer, its finish reason, and its token counts and timings."""

    text: str
    finish_reason: FinishReason
    patches: int
    completion_tokens: int
    preprocess_ms: float
    inference_ms: float


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on a request: the most patches it may use, and the default."""

    max_patches: int = 4096
    default_patches: int = 2048  # the default of Pix2Struct's image processor


LIMITS: Final = Limits()
"""The defaults."""
