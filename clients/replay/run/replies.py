"""Parse an HTTP response into a reply or a typed failure, and build the outcome of a question from it.

Independent of the HTTP library: the caller passes the status and the body.
"""

from typing import Any, Final

from pydantic import ValidationError

from clients.replay.run.outcomes import Failure, FailureKind, Lens
from clients.replay.tasks.sample import Sample
from services.wire.answer import AnswerResponse
from services.wire.errors import ErrorEnvelope

Reply = AnswerResponse | Failure

_OK: Final = 200
_EXCERPT_CHARACTERS: Final = 200


def read_reply(status: int, content: bytes, retry_after_s: float | None = None) -> Reply:
    """Parse the answer in ``content``, or say why there is none."""
    if status != _OK:
        return _refusal(status, content, retry_after_s)
    try:
        return AnswerResponse.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        message = f"{'.'.join(map(str, first['loc'])) or 'body'}: {first['msg']}"
        return Failure(kind=FailureKind.BAD_REPLY, message=message, status=status)


def question_fields(sample: Sample, image_sha256: str | None) -> dict[str, Any]:  # Any: fields of several types
    """The fields of an outcome that describe the question."""
    return {
        "sample_id": sample.id,
        "image": sample.image_key,
        "image_sha256": image_sha256,
        "question": sample.question,
        "gold": sample.gold,
        "answer_type": sample.answer_type,
        "labels": dict(sample.labels),
    }


def reply_fields(reply: Reply) -> dict[str, Any]:  # Any: fields of several types
    """The fields of an outcome that describe the reply; ``outcome`` selects ``Scored`` or ``Failed``."""
    if isinstance(reply, Failure):
        return {"outcome": "failed", "failure": reply}
    answer = reply.model_dump(include={"answer", "finish_reason", "usage", "timing", "cache"})
    return {"outcome": "scored", **answer, "lens": Lens.of(reply.lens) if reply.lens else None}


def _refusal(status: int, content: bytes, retry_after_s: float | None) -> Failure:
    try:
        problem = ErrorEnvelope.model_validate_json(content).error
        message, code = problem.message, problem.code
    except ValidationError:  # not ours: a proxy's page, say
        message, code = content.decode(errors="replace")[:_EXCERPT_CHARACTERS], None
    return Failure(kind=FailureKind.HTTP_STATUS, message=message, status=status, code=code, retry_after_s=retry_after_s)
