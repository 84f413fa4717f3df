"""A whole run: index, select, warm up, replay, and leave a readable run folder whatever happens."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import httpx
from rich.console import Console

from clients.replay import api_key
from clients.replay.asking.client import AnswerClient, AskOptions
from clients.replay.asking.images import blank_image, keep_images
from clients.replay.asking.loop import Sink, replay
from clients.replay.asking.progress import progress
from clients.replay.errors import ReplayError
from clients.replay.run.folder import RunFolder
from clients.replay.run.machine import Machine, client_versions
from clients.replay.run.outcomes import Failed, Failure, FailureKind, OutcomeWriter, Scored
from clients.replay.run.record import RunRecord, RunStatus, ShardRecord, Warmup, now
from clients.replay.run.resume import cut_torn_line, holds_answer, ids_to_skip, require_same_run
from clients.replay.tasks.criteria import Criteria
from clients.replay.tasks.index import SampleIndex
from clients.replay.tasks.selection import Shard, select, wanted
from clients.replay.tasks.task import Task

WARM_UP_QUESTION: Final = "How many?"
HOPELESS_AFTER: Final = 50  # consecutive failed connections, each of them retried


@dataclass(frozen=True, slots=True)
class RunConfig:
    """What to replay, against which service, and how.

    With ``resume``, the run in the folder is resumed; with ``retry_failed``, its failed questions are asked again too.
    """

    task: Task
    data: Path
    url: str
    out: Path
    criteria: Criteria
    concurrency: int
    options: AskOptions = field(default_factory=AskOptions)
    shard: Shard | None = None
    resume: bool = False
    retry_failed: bool = False


@dataclass(frozen=True, slots=True)
class RunSummary:
    """How this session of a run ended; ``before`` counts the outcomes of earlier sessions.

    ``fruitless`` if questions were asked and failed, and the run has no answer from this session or an earlier one.
    """

    answered: int
    failed: int
    before: int
    wall_s: float
    fruitless: bool


async def run(config: RunConfig, console: Console, transport: httpx.AsyncBaseTransport | None = None) -> RunSummary:
    """Replay a dataset into a run folder.

    Raises:
        ReplayError: the folder is taken or contains a different run, the dataset is unusable, or the service does
            not answer.
    """
    folder = RunFolder(config.out)
    earlier = folder.read_record() if config.resume and folder.record.exists() else None
    if earlier is None:
        folder.require_free()
    entries = config.task.scan(config.data, config.criteria.split)
    with SampleIndex(entries, partial(wanted, config.criteria)) as index:
        _tell_problems(index, console)
        async with AnswerClient(config.url, config.options, transport) as client:
            record = await _first_record(config, index, client)
            if earlier:
                require_same_run(config.out, earlier, record)
                record = earlier.taken_up()
            return await _session(config, record, index, client, console)


async def _first_record(config: RunConfig, index: SampleIndex, client: AnswerClient) -> RunRecord:
    selection, options = select(index, config.criteria), config.options
    shard = None
    if config.shard:
        index.keep_shard(config.shard.index, config.shard.count)
        shard = ShardRecord(index=config.shard.index, count=config.shard.count, questions=index.questions())
    return RunRecord(
        task=config.task.name,
        data=config.data.resolve().name,
        selection=selection,
        shard=shard,
        url=config.url,
        concurrency=config.concurrency,
        lens=options.lens,
        max_patches=options.max_patches,
        max_new_tokens=options.max_new_tokens,
        prompt=options.prompt,
        timeout_s=options.timeout_s,
        retries=options.retries,
        server=await client.model_card(),
        warm_up=await _warm_up(client),
        versions=client_versions(),
        machine=Machine.this(),
        started=now(),
    )


async def _warm_up(client: AnswerClient) -> Warmup:
    # also detects, before hundreds of questions fail, that the service rejects this run's options
    first = await client.ask(blank_image(), WARM_UP_QUESTION)
    if isinstance(first.reply, Failure):
        status = f" (HTTP {first.reply.status})" if first.reply.status else ""
        message = f"The service did not answer the warm-up question: {first.reply.message}{status}."
        raise ReplayError(message)
    return Warmup(question=WARM_UP_QUESTION, latency_ms=round(first.latency_ms, 3))


async def _session(
    config: RunConfig, record: RunRecord, index: SampleIndex, client: AnswerClient, console: Console
) -> RunSummary:
    folder, read = RunFolder(config.out), config.task.pictures(config.data)
    folder.create()
    if not record.resumed:
        named, counts = folder.write_problems(index.problems())
        record = record.model_copy(update={"problems": named, "problem_counts": counts})
    keep_images(index.image_keys(), read, folder.pictures, config.criteria.seed)
    folder.write_record(record)
    cut_torn_line(folder.outcomes)
    index.drop(ids_to_skip(folder.outcomes, again=config.retry_failed))
    left, counter, session_started = index.questions(), Counter[bool](), now()
    with (
        _recorded(folder, record),
        OutcomeWriter(folder.outcomes) as writer,
        progress(console, config.task.name, record.questions, record.questions - left) as tick,
    ):

        def sink(outcome: Scored | Failed) -> None:
            failed = isinstance(outcome, Failed)
            writer.write(outcome)
            counter[failed] += 1
            tick(failed=failed)

        await replay(index.by_image(), read, client, config.concurrency, _giving_up(sink, config.url))
    wall_s = (now() - session_started).total_seconds()
    fruitless = counter[True] > 0 and not holds_answer(folder.outcomes)
    return RunSummary(counter[False], counter[True], record.questions - left, wall_s, fruitless)


@contextmanager
def _recorded(folder: RunFolder, record: RunRecord) -> Iterator[None]:
    """Record how the block ended: Ctrl-C cancels the replay, and the answers so far stay readable."""
    status = RunStatus.INTERRUPTED
    try:
        yield
        status = RunStatus.FINISHED
    finally:
        folder.write_record(record.finished(status))


def _giving_up(sink: Sink, url: str) -> Sink:
    """Wrap the sink to give up when it is hopeless.

    After many consecutive failed connections the service is gone; after one 401 every question would get another.
    """
    in_a_row = 0

    def giving_up(outcome: Scored | Failed) -> None:
        nonlocal in_a_row
        if isinstance(outcome, Failed) and outcome.failure.status == httpx.codes.UNAUTHORIZED:
            message = f"{api_key.refusal(url)} Then resume with --resume."
            raise ReplayError(message)  # the question stays unasked
        sink(outcome)
        lost = isinstance(outcome, Failed) and outcome.failure.kind is FailureKind.CONNECTION
        in_a_row = in_a_row + 1 if lost else 0
        if in_a_row >= HOPELESS_AFTER:
            message = (
                f"{in_a_row} connections in a row failed: the service is gone. Restart it, then resume with "
                "--resume --retry-failed."
            )
            raise ReplayError(message)

    return giving_up


def _tell_problems(index: SampleIndex, console: Console) -> None:
    for kind, count in Counter(problem.kind for problem in index.problems()).items():
        console.print(f"skipped: {count} with {kind} (listed in problems.jsonl)", highlight=False)
    if index.passed_over:
        console.print(f"filtered out: {index.passed_over} that do not match the selection", highlight=False)
