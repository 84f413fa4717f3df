"""The wire contract: what goes in and out over HTTP, for both services and their clients.

Pydantic and the standard library only, so that a client may import it. A field that a service does not know is an
error, not a surprise: a lens asked of MatCha must not silently come back empty.
"""

import base64
import binascii
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

MAX_QUESTION_CHARACTERS = 2000
MAX_NEW_TOKENS = 512
MAX_TOP_K = 20


def _decode_image(value: object) -> object:
    """A data URL or bare base64 to bytes; bytes (of a form's file) pass through."""
    if not isinstance(value, str):
        return value
    if value.startswith(("http://", "https://")):
        message = "pictures are not fetched from addresses: send the bytes in base64, or as a data URL"
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
Question = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_QUESTION_CHARACTERS)]
FinishReason = Literal["stop", "length"]
Cache = Literal["hit", "miss"]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Response(BaseModel):
    # A client must survive a server that is newer than itself: unknown fields are passed over.
    model_config = ConfigDict(extra="ignore", frozen=True)


class AnswerRequest(_Request):
    """A question about one picture."""

    image: ImageBytes
    question: Question
    max_new_tokens: int | None = Field(
        default=None, ge=1, le=MAX_NEW_TOKENS, description="Longest answer in tokens; the server's default if null."
    )


class MatchaRequest(AnswerRequest):
    """A question about a chart."""

    max_patches: int | None = Field(
        default=None, ge=1, description="Patches of 16 x 16 px to cut the picture into; the model's default if null."
    )


class LensRequest(_Request):
    """Which part of the lens trace to return."""

    top_k: int = Field(default=5, ge=1, le=MAX_TOP_K, description="Tokens per layer.")
    tokens: Literal["first"] = Field(default="first", description="Answer tokens to trace.")


class QwenVLRequest(AnswerRequest):
    """A question about a picture, with the lens trace if asked for."""

    lens: LensRequest | None = Field(default=None, description="Return what every layer would have answered.")


class TokenProb(_Response):
    """A token that a layer would have answered, and its probability."""

    token: str
    token_id: int
    prob: float


class LayerTrace(_Response):
    """One layer's view of one answer token: its best tokens, its entropy, and where the emitted token stands."""

    layer: int = Field(description="0 is the embedding, i the output of block i; the last is the model's own.")
    top: list[TokenProb]
    entropy: float = Field(description="Of the layer's distribution, in nats.")
    answer_prob: float = Field(description="The emitted token's probability at this layer.")
    answer_rank: int = Field(description="The emitted token's rank at this layer; 0 is the best.")


class LensStep(_Response):
    """The trace of one answer token."""

    token: str
    token_id: int
    layers: list[LayerTrace]


class LensTrace(_Response):
    """What every layer would have answered; ``num_layers`` blocks give ``num_layers + 1`` layers."""

    num_layers: int
    steps: list[LensStep]


class Usage(_Response):
    """Sizes of a request; for MatCha, image and prompt are one: its patches."""

    image_tokens: int
    prompt_tokens: int
    completion_tokens: int


class Timing(_Response):
    """Where the time went, in milliseconds. ``total_ms`` is from the request read to the answer ready."""

    queue_ms: float
    preprocess_ms: float
    inference_ms: float
    total_ms: float


class AnswerResponse(_Response):
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


class ModelCard(_Response):
    """One entry of ``/v1/models``: OpenAI's fields, and what tells two runs apart."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "tallyglass"
    variant: str
    revision: str
    manifest_sha256: str


class ModelList(_Response):
    """Answer of ``/v1/models``."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class Problem(_Response):
    """What went wrong, in OpenAI's words."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorEnvelope(_Response):
    """Body of every answer that is not a success."""

    error: Problem
