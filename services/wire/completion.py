"""What ``/v1/chat/completions`` gives back, as OpenAI has it, with our own fields beside it."""

from typing import Literal

from services.wire.answer import Cache, FinishReason, Timing, TokenLogprob
from services.wire.contract import WireResponse
from services.wire.lens import LensTrace


class PromptDetails(WireResponse):
    """Parts of ``prompt_tokens``: those from the prefix cache, and those of images."""

    cached_tokens: int
    image_tokens: int


class ChatUsage(WireResponse):
    """Sizes of a request in tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails


class Logprobs(WireResponse):
    """One entry per token of the text, the end marker left out."""

    content: list[TokenLogprob]
    refusal: None = None


class ChatMessage(WireResponse):
    """The answer."""

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
    """OpenAI's answer; ``variant``, ``timing`` and ``cache`` are ours."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: ChatUsage
    variant: str
    timing: Timing
    cache: Cache | None


class DeltaMessage(WireResponse):
    """What a chunk adds to the answer."""

    role: Literal["assistant"] | None = None
    content: str | None = None


class ChunkChoice(WireResponse):
    """The one answer's part of a chunk; the last has ``finish_reason`` and the lens."""

    index: Literal[0] = 0
    delta: DeltaMessage
    logprobs: Logprobs | None = None
    finish_reason: FinishReason | None = None
    lens: LensTrace | None = None


class ChatChunk(WireResponse):
    """One server-sent event; the one of the usage has no choices."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: ChatUsage | None = None
    variant: str
    timing: Timing | None = None
    cache: Cache | None = None
