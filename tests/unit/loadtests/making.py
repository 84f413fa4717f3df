"""Synthetic load tests: outcomes at known times, and their folders."""

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from clients.replay.run.folder import RunFolder
from clients.replay.run.machine import Machine
from clients.replay.run.outcomes import Failure, FailureKind
from clients.replay.run.record import RunStatus, Warmup
from clients.replay.tasks.criteria import Selection
from loadtests.profile import Profile
from loadtests.results.outcomes import NOT_SENT, Outcome
from loadtests.results.run_folder import LoadRecord, LoadSettings
from loadtests.traffic.questions import Ask, Questions
from loadtests.traffic.samples import BUNDLED, load
from services.wire.answer import AnswerResponse, ModelCard, Timing, Usage

STARTED = datetime(2026, 1, 1, tzinfo=UTC)
ANSWER = AnswerResponse(
    id="a",
    model="m",
    variant="fp32",
    answer="2",
    finish_reason="stop",
    usage=Usage(image_tokens=1, prompt_tokens=2, completion_tokens=3),
    timing=Timing(queue_ms=0, preprocess_ms=0.25, inference_ms=1, total_ms=1.5),
    cache="miss",
)
BUSY = Failure(kind=FailureKind.HTTP_STATUS, message="full", status=429, code="queue_full")
LATE = Failure(kind=FailureKind.TIMEOUT, message="no answer within 5 s")
UNSENT = Failure(kind=FailureKind.CONNECTION, message="not sent", code=NOT_SENT)


@cache
def an_ask() -> Ask:
    """One request, always the same."""
    samples = load("realcqa", BUNDLED / "realcqa", seed=0)
    return next(Questions(samples, "unique", lens=False, seed=0).stream("0.0"))


def result(due_s: float, latency_ms: float, failure: Failure | None = None, lag_ms: float = 1.0) -> Outcome:
    """The outcome of a request due at that time, sent ``lag_ms`` later, ended ``latency_ms`` after it was due."""
    due_at_s = STARTED.timestamp() + due_s
    sent_at_s = due_at_s + lag_ms / 1000
    return an_ask().outcome(
        failure or ANSWER, intended_at_s=due_at_s, sent_at_s=sent_at_s, latency_ms=latency_ms - lag_ms
    )


def exact(due_at_s: float, sent_at_s: float, latency_ms: float, failure: Failure | None = None) -> Outcome:
    """The same with times since 1970: small ones lose nothing to rounding, so they can be exactly at a bound."""
    return an_ask().outcome(failure or ANSWER, intended_at_s=due_at_s, sent_at_s=sent_at_s, latency_ms=latency_ms)


def folder_of(
    folder: Path, outcomes: list[Outcome], *, overloaded: bool = False, **profile: float | str | None
) -> Path:
    """The folder of a load test of ten seconds, two requests per second, with these outcomes."""
    values = {"name": "p", "loop": "open", "rate_per_s": 2, "duration_s": 10, "timeout_s": 5, "objective_ms": 100}
    asked = LoadSettings.of("matcha", Profile.model_validate({**values, "pictures": "unique", **profile}))
    record = LoadRecord(
        task="realcqa",
        data="realcqa",
        selection=Selection(split="test", seed=0, questions=1, pictures=1, sha256="0"),
        url="http://127.0.0.1:1",
        concurrency=1,
        lens=False,
        timeout_s=5,
        server=ModelCard(id="m", variant="bf16", revision="r", manifest_sha256="0"),
        warm_up=Warmup(question="?", latency_ms=1),
        versions={},
        machine=Machine.this(),
        started=STARTED,
        ended=STARTED + timedelta(seconds=10),
        status=RunStatus.FINISHED,
        load=asked.model_copy(update={"client_overloaded": overloaded}),
    )
    RunFolder(folder).create()
    RunFolder(folder).write_record(record)
    RunFolder(folder).outcomes.write_text("".join(f"{line.model_dump_json()}\n" for line in outcomes))
    return folder
