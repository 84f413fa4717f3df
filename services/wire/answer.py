"""The wire contract: what goes in and out over HTTP, for both services and their clients.

Pydantic and the standard library only, so that a client may import it. A field that a service does not know is an
error, not a surprise: a lens asked of MatCha must not silently come back empty.
"""

import base64
import binascii
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

from services.wire.contract import WireRequest, WireResponse
from services.wire.lens import (
    LensRequest,
    LensTrace,
)

MAX_QUESTION_CHARACTERS = 2000
MAX_NEW_TOKENS = 512


def _decode_image(value: object) -> object:
    """A data URL or bare base64 to bytes; bytes (of a form's file) pass through."""
    if not isinstance(value, str):
        return value
    if value.startswith(("http://", "https://")):
        message = "images are not fetched from addresses: send the bytes in base64, or as a data URL"
        raise ValueError(message)
    if value.startswith("data:"):
        head, _, value = value.partition(",")
        if not head.endswith(";base64"):
            message = "a data URL must hold base64: data:image/png;base64,..."
            raise ValueError(message)
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        message = f"not base64 ({error})"
        raise ValueError(message) from error


ImageBytes = Annotated[
    bytes,
    BeforeValidator(_decode_image),
    WithJsonSchema({"type": "string", "format": "byte", "description": "A data URL, or the bytes in base64."}),
]
QuestionText = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_QUESTION_CHARACTERS)
]
FinishReason = Literal["stop", "length"]
Cache = Literal["hit", "miss"]


class AnswerRequest(WireRequest):
    """A question about one image."""

    image: ImageBytes
    question: QuestionText
    max_new_tokens: int | None = Field(
        default=None, ge=1, le=MAX_NEW_TOKENS, description="Longest answer in tokens; the server's default if null."
    )


class MatchaRequest(AnswerRequest):
    """A question about a chart."""

    max_patches: int | None = Field(
        default=None, ge=1, description="Patches of 16 x 16 px to cut the image into; the model's default if null."
    )


class QwenVLOptions(WireRequest):
    """What Qwen2-VL takes beside a question, in both of its forms."""

    lens: LensRequest | None = Field(default=None, description="Return what every layer would have answered.")
    min_pixels: int | None = Field(
        default=None, ge=784, description="Images are scaled up to this many pixels; the model's default if null."
    )
    max_pixels: int | None = Field(
        default=None, ge=784, description="Images are scaled down to this many pixels; 784 make one token."
    )


class QwenVLRequest(AnswerRequest, QwenVLOptions):
    """A question about an image, with the lens trace if asked for."""


class TokenScore(WireResponse):
    """A token, its log probability before temperature and ``top_p``, and its bytes: it may be part of a character."""

    token: str
    logprob: float
    bytes: list[int] | None


class TokenLogprob(TokenScore):
    """A token of the answer, beside the best ones at its place."""

    top_logprobs: list[TokenScore]


class Usage(WireResponse):
    """Sizes of a request; for MatCha, image and prompt are one: its patches."""

    image_tokens: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = Field(default=0, description="Prompt tokens whose keys and values were taken from the cache.")


class Timing(WireResponse):
    """Where the time went, in milliseconds. ``total_ms`` is from the request read to the answer ready."""

    queue_ms: float
    preprocess_ms: float
    inference_ms: float
    total_ms: float


class AnswerResponse(WireResponse):
    """The answer to one question."""

    id: str
    model: str
    variant: str
    answer: str
    finish_reason: FinishReason
    usage: Usage
    timing: Timing
    cache: Cache | None = None
    lens: LensTrace | None = None


class ModelCard(WireResponse):
    """One entry of ``/v1/models``: OpenAI's fields, and what tells two runs apart."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "tallyglass"
    variant: str
    revision: str
    manifest_sha256: str


class ModelList(WireResponse):
    """Answer of ``/v1/models``."""

    object: Literal["list"] = "list"
    data: list[ModelCard]
