"""The replay loop: several images concurrently, each image's questions in sequence, outcomes passed on at once."""

import asyncio
from collections.abc import Callable, Iterator

from clients.replay.asking.client import AnswerClient
from clients.replay.asking.images import EncodedImage
from clients.replay.asking.retries import Attempts
from clients.replay.errors import ReplayError
from clients.replay.run.outcomes import Failure, FailureKind, Outcome, read_outcome
from clients.replay.run.replies import question_fields, reply_fields
from clients.replay.tasks.sample import Sample
from clients.replay.tasks.task import ImageSource

Sink = Callable[[Outcome], None]


async def replay(
    pictures: Iterator[tuple[Sample, ...]], read: ImageSource, client: AnswerClient, concurrency: int, sink: Sink
) -> None:
    """Ask every question; ``sink`` receives each outcome as it arrives.

    One worker asks all questions of an image in sequence, so that what the service caches for the image is reused
    before it is evicted.

    Raises:
        ReplayError: an outcome cannot be written, or ``sink`` gives up.
    """
    try:
        async with asyncio.TaskGroup() as workers:
            for _ in range(concurrency):
                workers.create_task(_work(pictures, read, client, sink))
    except* ReplayError as group:
        raise group.exceptions[0] from None


async def _work(pictures: Iterator[tuple[Sample, ...]], read: ImageSource, client: AnswerClient, sink: Sink) -> None:
    # the workers share one iterator: each takes the next image when it has finished one
    for samples in pictures:
        await _ask_image(samples, read, client, sink)


async def _ask_image(samples: tuple[Sample, ...], read: ImageSource, client: AnswerClient, sink: Sink) -> None:
    try:
        image = EncodedImage.of(await asyncio.to_thread(read, samples[0].image_key))
    except OSError as error:
        failure = Failure(kind=FailureKind.IMAGE, message=f"cannot be read: {error.strerror}")
        for turn, sample in enumerate(samples):
            sink(_outcome(sample, turn, None, Attempts(failure, 0.0, 0.0, 0, 0.0)))
        return
    for turn, sample in enumerate(samples):
        sink(_outcome(sample, turn, image.sha256, await client.ask(image, sample.question)))


def _outcome(sample: Sample, turn: int, image_sha256: str | None, attempts: Attempts) -> Outcome:
    times = {
        "latency_ms": round(attempts.latency_ms, 3),
        "sent_at_s": round(attempts.sent_at_s, 3) or None,
        "attempts": attempts.attempts,
        "waited_ms": round(attempts.waited_ms, 3),
        "turn": turn,
    }
    return read_outcome(question_fields(sample, image_sha256) | times | reply_fields(attempts.reply))
