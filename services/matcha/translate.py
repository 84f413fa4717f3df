"""Translate between the wire contract and the engine's types."""

from services.common.stops import stop_position
from services.common.worker.messages import WorkerAnswer
from services.matcha.types import ChartAnswer, ChartQuestion
from services.wire.answer import MatchaRequest, Usage
from services.wire.chat import MatchaChat

Asked = MatchaRequest | MatchaChat


class Translator:
    """Translates in both directions; ``max_new_tokens`` is the default for requests."""

    def __init__(self, max_new_tokens: int) -> None:
        self._max_new_tokens = max_new_tokens

    def question(self, asked: Asked) -> ChartQuestion:
        """The engine's question; of a conversation, the last one, about its last image."""
        request = asked.last_question() if isinstance(asked, MatchaChat) else asked
        return ChartQuestion(
            image=request.image,
            text=request.question,
            max_new_tokens=request.max_new_tokens or self._max_new_tokens,
            max_patches=request.max_patches,
        )

    def answer(self, asked: Asked, answer: ChartAnswer, queue_ms: float) -> WorkerAnswer:
        """The complete answer, cut at a stop string; the patches count as both image and prompt tokens."""
        stops = (asked.stop or []) if isinstance(asked, MatchaChat) else []
        stopped_at = stop_position(answer.text, stops)
        return WorkerAnswer(
            text=answer.text[:stopped_at],
            finish_reason=answer.finish_reason if stopped_at is None else "stop",
            usage=Usage(
                image_tokens=answer.patches, prompt_tokens=answer.patches, completion_tokens=answer.completion_tokens
            ),
            queue_ms=queue_ms,
            preprocess_ms=answer.preprocess_ms,
            inference_ms=answer.inference_ms,
        )
