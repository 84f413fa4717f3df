"""Requests of ``/v1/chat/completions``: OpenAI's fields, and our own.

An unsupported OpenAI field is rejected by name unless its value has no effect: silently dropping an option would give
wrong answers that look right. Pydantic and the standard library only.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from services.wire.answer import MAX_NEW_TOKENS, MAX_QUESTION_CHARACTERS, ImageBytes, MatchaRequest, QwenVLOptions
from services.wire.contract import WireRequest

MAX_MESSAGES: Final = 64
MAX_IMAGES: Final = 16
MAX_CHARACTERS: Final = 32_000
"""Total text over all messages."""
MAX_STOPS: Final = 4


class _Only:
    """A validator that accepts only null and the given values."""

    def __init__(self, *allowed: object) -> None:
        self._allowed = allowed

    def __call__(self, value: object) -> object:
        if value is not None and value not in self._allowed:
            message = f"not supported here; leave it out, or send {' or '.join(map(repr, self._allowed))}"
            raise ValueError(message)
        return value


_OFF = False
Refused = Annotated[Any, AfterValidator(_Only())]
NoNumber = Annotated[Any, AfterValidator(_Only(0))]
Ignored = Annotated[Any, Field(description="Accepted, but has no effect.")]


class TextPart(WireRequest):
    """A text part of a message."""

    type: Literal["text"]
    text: str = Field(max_length=MAX_CHARACTERS)


class ImageURL(WireRequest):
    """An image as a data URL; ``detail`` has no effect, use ``min_pixels`` and ``max_pixels`` instead."""

    url: ImageBytes
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(WireRequest):
    """An image part of a message."""

    type: Literal["image_url"]
    image_url: ImageURL


def _as_parts(content: object) -> object:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class Message(WireRequest):
    """One turn of the conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[list[Part], BeforeValidator(_as_parts), Field(min_length=1, max_length=128)]
    name: Ignored = None

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, fields: object) -> object:
        """Drop null fields, which an assistant message sent back as a turn includes."""
        if not isinstance(fields, dict):
            return fields
        return {name: value for name, value in fields.items() if value is not None}

    @property
    def text(self) -> str:
        """The text parts, one per line."""
        return "\n".join(part.text for part in self.content if isinstance(part, TextPart))

    @property
    def images(self) -> list[bytes]:
        """The images, undecoded."""
        return [part.image_url.url for part in self.content if isinstance(part, ImagePart)]


class StreamOptions(WireRequest):
    """Options for streaming."""

    include_usage: bool = Field(default=False, description="End with a chunk that contains the usage.")
    include_obfuscation: Ignored = None


Stop = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Stops = Annotated[list[Stop], Field(max_length=MAX_STOPS)]


def _as_list(stop: object) -> object:
    return [stop] if isinstance(stop, str) else stop


class ChatRequest(WireRequest):
    """OpenAI's request. A service has one model, so any ``model`` is accepted; the response names the real one."""

    messages: list[Message] = Field(min_length=1, max_length=MAX_MESSAGES)
    model: str | None = None
    max_tokens: int | None = Field(default=None, ge=1, le=MAX_NEW_TOKENS)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=MAX_NEW_TOKENS)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    stop: Annotated[Stops | None, BeforeValidator(_as_list)] = None
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    logprobs: bool | None = None
    n: Annotated[Any, AfterValidator(_Only(1))] = None
    frequency_penalty: NoNumber = None
    presence_penalty: NoNumber = None
    logit_bias: Annotated[Any, AfterValidator(_Only({}))] = None
    tools: Annotated[Any, AfterValidator(_Only([]))] = None
    tool_choice: Annotated[Any, AfterValidator(_Only("none", "auto"))] = None
    parallel_tool_calls: Ignored = None
    functions: Annotated[Any, AfterValidator(_Only([]))] = None
    function_call: Annotated[Any, AfterValidator(_Only("none", "auto"))] = None
    response_format: Annotated[Any, AfterValidator(_Only({"type": "text"}))] = None
    modalities: Annotated[Any, AfterValidator(_Only(["text"]))] = None
    audio: Refused = None
    prediction: Refused = None
    reasoning_effort: Refused = None
    verbosity: Refused = None
    web_search_options: Refused = None
    service_tier: Annotated[Any, AfterValidator(_Only("auto", "default"))] = None
    store: Annotated[Any, AfterValidator(_Only(_OFF))] = None
    user: Ignored = None
    metadata: Ignored = None
    safety_identifier: Ignored = None
    prompt_cache_key: Ignored = None

    @model_validator(mode="after")
    def _within_bounds(self) -> "ChatRequest":
        images = sum(len(message.images) for message in self.messages)
        characters = sum(len(message.text) for message in self.messages)
        if images > MAX_IMAGES:
            message = f"{images} images, at most {MAX_IMAGES} are allowed: leave out old turns"
            raise ValueError(message)
        if characters > MAX_CHARACTERS:
            message = f"{characters} characters of text, at most {MAX_CHARACTERS} are allowed: leave out old turns"
            raise ValueError(message)
        return self

    @property
    def images(self) -> list[bytes]:
        """All images of the conversation, undecoded."""
        return [image for message in self.messages for image in message.images]

    @property
    def wants_scores(self) -> bool:
        """Whether log probabilities are requested."""
        return bool(self.logprobs)

    @property
    def wants_pieces(self) -> bool:
        """Whether the worker must return the answer in pieces."""
        return bool(self.stream) or self.wants_scores

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with the usage."""
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def max_answer_tokens(self) -> int | None:
        """Most tokens to generate; OpenAI has two names for it."""
        return self.max_completion_tokens or self.max_tokens


class QwenVLChat(ChatRequest, QwenVLOptions):
    """A conversation about images. Greedy unless the temperature is above 0."""

    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_logprobs: int | None = Field(default=None, ge=0, le=20)

    @model_validator(mode="after")
    def _logprobs_go_together(self) -> "QwenVLChat":
        if self.top_logprobs is not None and not self.logprobs:
            message = "'top_logprobs' needs 'logprobs': true"
            raise ValueError(message)
        return self


class MatchaChat(ChatRequest):
    """A conversation. MatCha reads only the last user message, one chart and a question; decoding is always greedy."""

    temperature: NoNumber = None
    top_p: Ignored = None
    logprobs: Annotated[bool | None, AfterValidator(_Only(_OFF))] = None
    top_logprobs: NoNumber = None
    max_patches: int | None = Field(
        default=None, ge=1, description="Most patches of 16 x 16 px; null means the model's default."
    )

    @model_validator(mode="after")
    def _asks_about_one_chart(self) -> "MatchaChat":
        last = self._last_user_message()
        if last is None or len(last.images) != 1 or not last.text.strip():
            message = "the last user message must contain one image and a question: this model reads nothing else"
            raise ValueError(message)
        if len(last.text) > MAX_QUESTION_CHARACTERS:
            message = f"the question has {len(last.text)} characters, at most {MAX_QUESTION_CHARACTERS} are allowed"
            raise ValueError(message)
        return self

    def last_question(self) -> MatchaRequest:
        """The last user message as a request for ``/v1/answer``."""
        last = self._last_user_message()
        assert last is not None  # noqa: S101 checked during validation
        return MatchaRequest(
            image=last.images[0],
            question=last.text,
            max_new_tokens=self.max_answer_tokens,
            max_patches=self.max_patches,
        )

    def _last_user_message(self) -> Message | None:
        return next((message for message in reversed(self.messages) if message.role == "user"), None)
