"""What goes into the engine and what comes out: plain values, known without torch.

The HTTP process handles them and must stay small; only the worker loads torch.
"""

from dataclasses import dataclass
from typing import Literal

from PIL import Image


@dataclass(frozen=True, slots=True)
class LayerReading:
    """One layer's distribution over the vocabulary at one position, and where the emitted token stands in it."""

    layer: int
    token_ids: list[int]  # best first
    probs: list[float]
    entropy: float  # nats
    answer_prob: float
    answer_rank: int  # 0 is the best


@dataclass(frozen=True, slots=True)
class PictureQuestion:
    """A question about an RGB picture; ``lens_top_k`` tokens per layer of the first answer token, or no lens."""

    picture: Image.Image
    text: str
    max_new_tokens: int
    lens_top_k: int | None = None


@dataclass(frozen=True, slots=True)
class PictureAnswer:
    """The answer, how it ended, what it took, and how the layers of its first token read."""

    text: str
    token_ids: list[int]
    finish_reason: Literal["stop", "length"]
    image_tokens: int
    prompt_tokens: int
    preprocess_ms: float
    inference_ms: float
    lens: list[LayerReading] | None
