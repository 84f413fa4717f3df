"""Responses of ``/v1/chat/completions``: OpenAI's fields, and our own."""

from typing import Literal

from pydantic import Field

from services.wire.answer import Cache, FinishReason, Timing, TokenLogprob
from services.wire.contract import WireResponse
from services.wire.lens import LensTrace


def _is_none(value: object) -> bool:
    return value is None


class PromptDetails(WireResponse):
    """Prompt tokens that came from the prefix cache, and image tokens."""

    cached_tokens: int
    image_tokens: int


class ChatUsage(WireResponse):
    """Token counts of a request."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails


class Logprobs(WireResponse):
    """One entry per token of the text, without the end-of-sequence token."""

    content: list[TokenLogprob]
    refusal: None = None


class ChatMessage(WireResponse):
    """The answer as an assistant message."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(WireResponse):
    """The one answer, with its lens."""

    index: Literal[0] = 0
    message: ChatMessage
    logprobs: Logprobs | None
    finish_reason: FinishReason
    lens: LensTrace | None = None


class ChatCompletion(WireResponse):
    """OpenAI's response; ``variant``, ``timing``, ``cache`` and ``ignored`` are ours."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: ChatUsage
    system_fingerprint: str
    service_tier: None = None
    variant: str
    timing: Timing
    cache: Cache | None
    ignored: list[str] = Field(default=[], description="Fields of the request that had no effect.")


class DeltaMessage(WireResponse):
    """What a chunk adds to the answer."""

    role: Literal["assistant"] | None = Field(default=None, exclude_if=_is_none)
    content: str | None = Field(default=None, exclude_if=_is_none)


class ChunkChoice(WireResponse):
    """A chunk's only choice; the last one has ``finish_reason`` and the lens."""

    index: Literal[0] = 0
    delta: DeltaMessage
    logprobs: Logprobs | None = None
    finish_reason: FinishReason | None = None
    lens: LensTrace | None = Field(default=None, exclude_if=_is_none)


class ChatChunk(WireResponse):
    """One server-sent event, with every field of OpenAI's; the usage event has no choices.

    The fields of our own are in the events that they belong to alone: ``ignored`` in the first.
    """

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: ChatUsage | None = None
    system_fingerprint: str
    service_tier: None = None
    variant: str
    timing: Timing | None = Field(default=None, exclude_if=_is_none)
    cache: Cache | None = Field(default=None, exclude_if=_is_none)
    ignored: list[str] | None = Field(default=None, exclude_if=_is_none)
