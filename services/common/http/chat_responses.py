"""Responses of ``/v1/chat/completions``: a completion, or its chunks as server-sent events."""

import time

from pydantic import BaseModel

from services.common.worker.messages import Delta
from services.wire.answer import AnswerResponse, ModelCard, TokenLogprob
from services.wire.completion import (
    ChatChunk,
    ChatCompletion,
    ChatMessage,
    ChatUsage,
    Choice,
    ChunkChoice,
    DeltaMessage,
    Logprobs,
    PromptDetails,
)
from services.wire.errors import ServiceError, envelope

DONE = b"data: [DONE]\n\n"


def completion(
    response: AnswerResponse, logprobs: list[TokenLogprob] | None, fingerprint: str, ignored: list[str]
) -> ChatCompletion:
    """The complete, unstreamed response; ``ignored`` names the request's fields that had no effect."""
    choice = Choice(
        message=ChatMessage(content=response.answer),
        logprobs=None if logprobs is None else Logprobs(content=logprobs),
        finish_reason=response.finish_reason,
        lens=response.lens,
    )
    return ChatCompletion(
        id=response.id,
        created=int(time.time()),
        model=response.model,
        variant=response.variant,
        choices=[choice],
        usage=_usage(response),
        system_fingerprint=fingerprint,
        timing=response.timing,
        cache=response.cache,
        ignored=ignored,
    )


class Chunks:
    """Builds the events of one streamed answer: ``first``, then ``delta`` for each piece, then ``last``."""

    def __init__(self, request_id: str, card: ModelCard) -> None:
        self._head = {
            "id": request_id,
            "created": int(time.time()),
            "model": card.id,
            "variant": card.variant,
            "system_fingerprint": card.fingerprint,
        }
        self._sent = 0

    def first(self, ignored: list[str]) -> bytes:
        """The opening event, which sets the role, and names the request's fields that have no effect."""
        return self._event([ChunkChoice(delta=DeltaMessage(role="assistant", content=""))], ignored=ignored)

    def delta(self, delta: Delta) -> bytes:
        """An event with a piece of the text."""
        self._sent += len(delta.text)
        logprobs = Logprobs(content=delta.logprobs) if delta.logprobs else None
        return self._event([ChunkChoice(delta=DeltaMessage(content=delta.text), logprobs=logprobs)])

    def last(self, response: AnswerResponse, *, usage: bool) -> bytes:
        """The closing events: any text not yet sent, the finish reason and lens, and the usage if requested."""
        rest = response.answer[self._sent :]
        events = self._event([ChunkChoice(delta=DeltaMessage(content=rest))]) if rest else b""
        end = ChunkChoice(delta=DeltaMessage(), finish_reason=response.finish_reason, lens=response.lens)
        events += self._event([end], timing=response.timing, cache=response.cache)
        if usage:
            events += self._event([], usage=_usage(response))
        return events + DONE

    def _event(self, choices: list[ChunkChoice], **fields: object) -> bytes:
        return event(ChatChunk.model_validate({**self._head, "choices": choices, **fields}))


def event(data: BaseModel) -> bytes:
    """One server-sent event."""
    return b"data: " + data.model_dump_json().encode() + b"\n\n"


def error_event(error: ServiceError) -> bytes:
    """The event that ends a failed stream, in the form on which OpenAI's clients raise."""
    return event(envelope(error))


def _usage(response: AnswerResponse) -> ChatUsage:
    usage = response.usage
    return ChatUsage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
        prompt_tokens_details=PromptDetails(cached_tokens=usage.cached_tokens, image_tokens=usage.image_tokens),
    )
