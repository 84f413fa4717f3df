"""What a table says is what the folder holds: worked by hand on small runs."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clients.replay.folder import RunFolder
from clients.replay.machine import Machine
from clients.replay.outcomes import Failure, FailureKind
from clients.replay.record import RunStatus, Selection, Warmup
from clients.replay.report import report_runs
from loadtests.errors import LoadTestError
from loadtests.outcomes import NOT_SENT, Outcome, outcome
from loadtests.profile import Profile
from loadtests.questions import Ask, Questions
from loadtests.run_folder import Load, LoadRecord
from loadtests.samples import BUNDLED, load
from loadtests.summary import summarize
from loadtests.table import figures, warnings
from services.common.schemas import AnswerResponse, ModelCard, Timing, Usage

STARTED = datetime(2026, 1, 1, tzinfo=UTC)
ANSWER = AnswerResponse(
    id="a",
    model="m",
    variant="fp32",
    answer="2",
    finish_reason="stop",
    usage=Usage(image_tokens=1, prompt_tokens=1, completion_tokens=1),
    timing=Timing(queue_ms=0, preprocess_ms=0, inference_ms=1, total_ms=1),
)
BUSY = Failure(kind=FailureKind.HTTP_STATUS, message="full", status=429, code="queue_full")
LATE = Failure(kind=FailureKind.TIMEOUT, message="no answer within 5 s")


def _ask() -> Ask:
    samples = load("realcqa", BUNDLED / "realcqa", seed=0)
    return next(Questions(samples, "unique", lens=False, seed=0).stream("0.0"))


def _result(due_s: float, latency_ms: float, failure: Failure | None = None, lag_ms: float = 1.0) -> Outcome:
    due_at_s = STARTED.timestamp() + due_s
    sent_at_s = due_at_s + lag_ms / 1000
    return outcome(
        _ask(), failure or ANSWER, intended_at_s=due_at_s, sent_at_s=sent_at_s, latency_ms=latency_ms - lag_ms
    )


def _write(folder: Path, outcomes: list[Outcome], **profile: float | str | None) -> Path:
    values = {"name": "p", "loop": "open", "rate_per_s": 2, "duration_s": 10, "timeout_s": 5, "objective_ms": 100}
    record = LoadRecord(
        task="realcqa",
        data="realcqa",
        selection=Selection(split="test", seed=0, questions=1, pictures=1, sha256="0"),
        url="http://127.0.0.1:1",
        concurrency=1,
        lens=False,
        timeout_s=5,
        server=ModelCard(id="m", variant="fp32", revision="r", manifest_sha256="0"),
        warm_up=Warmup(question="?", latency_ms=1),
        versions={},
        machine=Machine.this(),
        started=STARTED,
        ended=STARTED + timedelta(seconds=10),
        status=RunStatus.FINISHED,
        load=Load.of("matcha", Profile.model_validate({**values, "pictures": "unique", **profile})),
    )
    RunFolder(folder).create()
    RunFolder(folder).write_record(record)
    RunFolder(folder).outcomes.write_text("".join(f"{line.model_dump_json()}\n" for line in outcomes))
    return folder


def test_rates_goodput_and_percentiles_of_a_small_run(tmp_path: Path) -> None:
    """Twenty requests in ten seconds: 15 answered in 50 ms, 3 in 300 ms, one refused, one never answered."""
    answered = [_result(i / 2, 50, lag_ms=i) for i in range(15)] + [_result(7.5 + i / 2, 300) for i in range(3)]
    summary = summarize(_write(tmp_path / "run", [*answered, _result(9.0, 2, BUSY), _result(9.5, 5000, LATE)]))
    assert (summary.requests, summary.answered, summary.good) == (20, 18, 15)
    assert summary.failures == {"http status 429 queue_full": 1, "timeout": 1}
    assert summary.offered_per_s == 2
    assert summary.window_s == pytest.approx(14.5)  # the last request was given up on 5 s after 9.5 s
    assert summary.answered_per_s == pytest.approx(18 / 14.5)
    assert summary.good_per_s == pytest.approx(15 / 14.5)
    assert summary.good_share == 0.75
    assert summary.latency.n == 18
    assert summary.latency.p50_ms == pytest.approx(50)
    assert summary.latency.max_ms == pytest.approx(300)
    assert summary.saturated is None


def test_failures_are_no_latencies(tmp_path: Path) -> None:
    """A refusal in 2 ms must not make a service look fast."""
    summary = summarize(_write(tmp_path / "run", [_result(0, 80), *(_result(i / 10, 2, BUSY) for i in range(50))]))
    assert summary.latency.n == 1
    assert summary.latency.p50_ms == pytest.approx(80)
    assert summary.good == 1


def test_requests_in_flight_are_counted_from_when_they_were_sent(tmp_path: Path) -> None:
    overlapping = [_result(0.0, 1000), _result(0.5, 1000), _result(0.9, 1000, lag_ms=200), _result(5, 10)]
    assert summarize(_write(tmp_path / "run", overlapping)).most_in_flight == 2


@pytest.mark.parametrize(
    ("outcomes", "told"),
    [
        ([_result(i / 10, 30, lag_ms=25) for i in range(90)], "p99 scheduling lag is 25 ms"),
        (
            [_result(0, 1, Failure(kind=FailureKind.CONNECTION, message="not sent", code=NOT_SENT))],
            "1 requests were not",
        ),
    ],
)
def test_a_saturated_generator_is_said(tmp_path: Path, outcomes: list[Outcome], told: str) -> None:
    summary = summarize(_write(tmp_path / "run", outcomes))
    assert told in (summary.saturated or "")
    assert any("generator was saturated" in warning for warning in warnings([summary]))


def test_the_replay_client_reports_on_a_load_test(tmp_path: Path) -> None:
    folder = _write(tmp_path / "run", [_result(0, 80), _result(1, 90), _result(2, 5000, LATE)])
    (report,) = report_runs([folder], tmp_path / "report", seed=0)
    assert (report.answered, report.failed) == (2, 1)
    assert report.latency
    assert report.latency.intended
    assert report.latency.intended.p50_ms == pytest.approx(85)  # from when the requests were due


def test_figures_have_the_projects_form(tmp_path: Path) -> None:
    entries = figures(summarize(_write(tmp_path / "run", [_result(0, 80)])), "make load")
    keys = {"figure", "value", "unit", "bar", "holds", "n", "low", "high", "how"}
    assert all(set(entry) == keys for entry in entries)
    assert {entry["figure"]: entry["value"] for entry in entries}["p99 latency: matcha fp32, p"] == pytest.approx(80)


def test_a_folder_without_a_load_test_is_said(tmp_path: Path) -> None:
    with pytest.raises(LoadTestError, match="holds no run"):
        summarize(tmp_path)


def test_a_run_that_was_killed_still_reads(tmp_path: Path) -> None:
    folder = _write(tmp_path / "run", [_result(0, 80)])
    with RunFolder(folder).outcomes.open("a") as file:
        file.write('{"outcome": "scored", "samp')
    assert summarize(folder).requests == 1
