"""A whole run: load, select, ask a first question, replay, and leave a run folder behind, whatever happens."""

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from rich.console import Console

from clients.replay.client import AnswerClient, AskOptions
from clients.replay.errors import ReplayError
from clients.replay.outcomes import Failed, Failure, OutcomeWriter, Scored
from clients.replay.pictures import blank_picture, keep_pictures
from clients.replay.progress import progress
from clients.replay.record import Machine, RunFolder, RunRecord, RunStatus, Warmup, client_versions, now
from clients.replay.runner import replay
from clients.replay.selection import describe, draw
from clients.replay.tasks.sample import Loaded, Sample, Split
from clients.replay.tasks.task import Task

_WARM_UP_QUESTION: Final = "How many?"


@dataclass(frozen=True, slots=True)
class RunConfig:
    """What to replay, against whom, and how."""

    task: Task
    data: Path
    url: str
    out: Path
    split: Split
    limit: int | None
    seed: int
    concurrency: int
    options: AskOptions


@dataclass(frozen=True, slots=True)
class RunSummary:
    """How a run ended."""

    answered: int
    failed: int
    wall_s: float


async def run(config: RunConfig, console: Console, transport: httpx.AsyncBaseTransport | None = None) -> RunSummary:
    """Replay a data set into a new run folder.

    Raises:
        ReplayError: the folder is taken, the data set cannot be used, or the service cannot be asked.
    """
    folder = RunFolder(config.out)
    folder.require_free()
    loaded = config.task.load(config.data, config.split)
    samples = draw(loaded.samples, config.limit, config.seed)
    _tell_problems(loaded, console)
    if not samples:
        message = f"{config.data} has no question that can be asked in split {config.split!r}."
        raise ReplayError(message)
    async with AnswerClient(config.url, config.options, transport) as client:
        record = await _first_record(config, loaded, samples, client)
        folder.create()
        keep_pictures(samples, folder.pictures, config.seed)
        return await _replay(config, record, samples, client, console)


async def _first_record(
    config: RunConfig, loaded: Loaded, samples: tuple[Sample, ...], client: AnswerClient
) -> RunRecord:
    return RunRecord(
        task=config.task.name,
        data=config.data.resolve().name,
        selection=describe(samples, config.split, config.limit, config.seed),
        url=config.url,
        concurrency=config.concurrency,
        lens=config.options.lens,
        max_patches=config.options.max_patches,
        timeout_s=config.options.timeout_s,
        server=await client.model_card(),
        warm_up=await _warm_up(client),
        versions=client_versions(),
        machine=Machine.this(),
        started=now(),
        problems=loaded.problems,
    )


async def _warm_up(client: AnswerClient) -> Warmup:
    # also finds out, before hundreds of questions fail, that the service refuses this run's options
    started = time.perf_counter()
    reply = await client.ask(blank_picture(), _WARM_UP_QUESTION)
    if isinstance(reply, Failure):
        status = f" (HTTP {reply.status})" if reply.status else ""
        message = f"The service did not answer a first question: {reply.message}{status}."
        raise ReplayError(message)
    return Warmup(question=_WARM_UP_QUESTION, latency_ms=round((time.perf_counter() - started) * 1000, 3))


async def _replay(
    config: RunConfig, record: RunRecord, samples: tuple[Sample, ...], client: AnswerClient, console: Console
) -> RunSummary:
    folder, counts, status = RunFolder(config.out), Counter[bool](), RunStatus.INTERRUPTED
    record = record.model_copy(update={"started": now()})
    folder.write_record(record)
    with OutcomeWriter(folder.outcomes) as writer, progress(console, config.task.name, len(samples)) as tick:

        def sink(outcome: Scored | Failed) -> None:
            failed = isinstance(outcome, Failed)
            writer.write(outcome)
            counts[failed] += 1
            tick(failed=failed)

        try:
            await replay(samples, client, config.concurrency, sink)
            status = RunStatus.FINISHED
        finally:  # Ctrl-C cancels the replay: what was answered so far stays readable
            record = record.finished(status)
            folder.write_record(record)
    return RunSummary(answered=counts[False], failed=counts[True], wall_s=record.wall_s or 0.0)


def _tell_problems(loaded: Loaded, console: Console) -> None:
    for kind, count in Counter(problem.kind for problem in loaded.problems).items():
        console.print(f"left out: {count} with {kind} (named in run.json)", highlight=False)
