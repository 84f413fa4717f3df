"""The run itself: several pictures at a time, the questions of one picture in a row, each outcome handed on at once."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence

from clients.replay.client import AnswerClient
from clients.replay.errors import ReplayError
from clients.replay.outcomes import Failed, Failure, FailureKind, Lens, Scored
from clients.replay.pictures import Picture
from clients.replay.selection import by_picture
from clients.replay.tasks.sample import Sample
from services.common.schemas import AnswerResponse

Sink = Callable[[Scored | Failed], None]


async def replay(samples: Sequence[Sample], client: AnswerClient, concurrency: int, sink: Sink) -> None:
    """Ask every question; ``sink`` gets each outcome as it arrives.

    All questions of a picture are asked by one worker, one after the other: whatever the service keeps of a picture is
    used again while it is still there.

    Raises:
        ReplayError: an outcome cannot be written.
    """
    pictures = deque(by_picture(samples))
    try:
        async with asyncio.TaskGroup() as workers:
            for _ in range(min(concurrency, len(pictures))):
                workers.create_task(_work(pictures, client, sink))
    except* ReplayError as group:
        raise group.exceptions[0] from None


async def _work(pictures: deque[tuple[Sample, ...]], client: AnswerClient, sink: Sink) -> None:
    while pictures:
        await _ask_picture(pictures.popleft(), client, sink)


async def _ask_picture(samples: tuple[Sample, ...], client: AnswerClient, sink: Sink) -> None:
    try:
        picture = await asyncio.to_thread(Picture.read, samples[0].image)
    except OSError as error:
        failure = Failure(kind=FailureKind.PICTURE, message=f"cannot be read: {error.strerror}")
        for sample in samples:
            sink(_outcome(sample, None, failure, 0.0))
        return
    for sample in samples:
        started = time.perf_counter()
        reply = await client.ask(picture, sample.question)
        sink(_outcome(sample, picture.sha256, reply, (time.perf_counter() - started) * 1000))


def _outcome(
    sample: Sample, image_sha256: str | None, reply: AnswerResponse | Failure, latency_ms: float
) -> Scored | Failed:
    asked = {
        "sample_id": sample.id,
        "image": sample.image_key,
        "image_sha256": image_sha256,
        "question": sample.question,
        "gold": sample.gold,
        "answer_type": sample.answer_type,
        "labels": dict(sample.labels),
        "latency_ms": round(latency_ms, 3),
    }
    if isinstance(reply, Failure):
        return Failed.model_validate({**asked, "failure": reply})
    answer = reply.model_dump(include={"answer", "finish_reason", "usage", "timing", "cache"})
    return Scored.model_validate({**asked, **answer, "lens": Lens.of(reply.lens) if reply.lens else None})
