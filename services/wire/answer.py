"""The wire contract of ``/v1/answer`` and ``/v1/models``, for both services and their clients.

Pydantic and the standard library only, so that clients can import it. A field that a service does not know is an
error: a lens request to MatCha must not be silently ignored.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from services.wire.contract import RequestTimeout, WireRequest, WireResponse
from services.wire.image_data import ImageBytes
from services.wire.lens import LensRequest, LensTrace

MAX_QUESTION_CHARACTERS = 2000
MAX_NEW_TOKENS = 512


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
        default=None, ge=1, le=MAX_NEW_TOKENS, description="Most tokens to generate; null means the server's default."
    )

    timeout_s: RequestTimeout = None

    @property
    def named_images(self) -> list[tuple[str, bytes]]:
        """The image, undecoded, with the field it came in."""
        return [("image", self.image)]


class MatchaRequest(AnswerRequest):
    """A question about a chart."""

    max_patches: int | None = Field(
        default=None, ge=1, description="Most patches of 16 x 16 px; null means the model's default."
    )


class QwenVLOptions(WireRequest):
    """Qwen2-VL's options, common to both endpoints."""

    lens: LensRequest | None = Field(
        default=None, description="Return the logit lens: what each layer would have answered."
    )
    min_pixels: int | None = Field(
        default=None, ge=784, description="Smaller images are scaled up to this; null means the model's default."
    )
    max_pixels: int | None = Field(
        default=None, ge=784, description="Larger images are scaled down to this; 784 pixels make one token."
    )


class QwenVLRequest(AnswerRequest, QwenVLOptions):
    """A question about an image, optionally with a lens trace."""


class TokenScore(WireResponse):
    """A token, its log probability before temperature and ``top_p``, and its bytes, perhaps of a partial character."""

    token: str
    logprob: float
    bytes: list[int] | None


class TokenLogprob(TokenScore):
    """A token of the answer, with the most likely tokens at its position."""

    top_logprobs: list[TokenScore]


class Usage(WireResponse):
    """Token counts of a request; MatCha counts its patches as both image and prompt tokens."""

    image_tokens: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = Field(default=0, description="Prompt tokens whose keys and values came from the cache.")


class Timing(WireResponse):
    """Timings in milliseconds; ``total_ms`` runs from reading the request to the finished answer."""

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
    """An entry of ``/v1/models``: OpenAI's fields, plus the exact variant, revision and manifest."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "tallyglass"
    variant: str
    revision: str
    manifest_sha256: str
    warnings: list[str] = Field(default_factory=list)
    """What is wrong with the model as it is served, in sentences."""

    @property
    def fingerprint(self) -> str:
        """OpenAI's ``system_fingerprint``: answers of the same model and variant have the same one."""
        return f"fp_{self.manifest_sha256[:10]}_{self.variant}"


class ModelList(WireResponse):
    """Response of ``/v1/models``."""

    object: Literal["list"] = "list"
    data: list[ModelCard]
