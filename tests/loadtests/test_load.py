"""Real Locust processes against the canned server, with and without a stall, and against the services."""

import csv
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clients.launcher import Service
from clients.replay.report import report_runs
from clients.replay.run.folder import RunFolder
from clients.replay.run.record import RunStatus
from loadtests import profile
from loadtests.errors import LoadTestError
from loadtests.generator import canned
from loadtests.results.outcomes import read
from loadtests.results.run_folder import read_record
from loadtests.results.summary import Summary
from loadtests.run import Plan, run
from loadtests.traffic.arrivals import poisson

STALL_S = 5.0


def _run(out: Path, url: str, name: str, *changes: str, locust: tuple[str, ...] = ()) -> Summary:
    plan = Plan("matcha", profile.load(name, changes), out, url=url, locust_options=("--headless", *locust))
    return run(plan)


@pytest.fixture(scope="module")
def stalled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Summary]:
    """The same server with the same stall of 5 s, under both loops at the same time."""
    folder = tmp_path_factory.mktemp("stall")

    def load(name: str, *changes: str) -> Summary:
        with canned(stall_at_s=3, stall_s=STALL_S) as url:
            return _run(folder / name, url, name, "duration_s=10", "warm_up_s=0", *changes)

    with ThreadPoolExecutor() as pool:
        runs = {"open": pool.submit(load, "steady", "rate_per_s=30"), "closed": pool.submit(load, "smoke")}
        return {loop: future.result() for loop, future in runs.items()}


def test_a_stall_shows_in_the_open_loop(stalled: dict[str, Summary]) -> None:
    """Half of the requests were due during the stall: they waited for its end, 2.5 s on average."""
    latency = stalled["open"].latency
    assert latency.p99_ms is not None
    assert 4000 < latency.p99_ms < 6500
    assert 0.25 < stalled["open"].good_share < 0.75


def test_a_stall_hides_in_the_closed_loop(stalled: dict[str, Summary]) -> None:
    """One request met the stall; those that its user did not send meanwhile are in no percentile."""
    latency = stalled["closed"].latency
    assert latency.max_ms is not None
    assert latency.max_ms > 4000
    assert latency.p99_ms is not None
    assert latency.p99_ms < 500
    assert stalled["closed"].good_share > 0.95
    assert stalled["closed"].most_in_flight == 1
    assert stalled["closed"].lag.p50_ms is not None
    assert stalled["closed"].lag.p50_ms < 5  # in this loop a request is due when it is sent


def test_a_run_leaves_everything_that_tells_of_it(tmp_path: Path) -> None:
    with canned() as url:
        summary = _run(tmp_path / "run", url, "steady", "rate_per_s=40", "duration_s=3", "warm_up_s=1")
    record = read_record(tmp_path / "run")
    assert record.status is RunStatus.FINISHED
    assert record.load.asked.rate_per_s == 40
    outcomes = read(RunFolder(tmp_path / "run").outcomes)
    assert summary.requests == summary.answered == len(outcomes)
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["answered"] == len(outcomes)
    assert record.concurrency == summary.most_in_flight
    ends = [outcome.ended_at_s for outcome in outcomes]
    assert record.started.timestamp() == pytest.approx(min(each.intended_at_s for each in outcomes), abs=1e-3)
    assert record.ended
    assert record.ended.timestamp() == pytest.approx(max(ends), abs=1e-3)
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"locust.html", "locust_stats.csv", "locust_stats_history.csv", "locust.log"} <= files
    due_s = list(poisson(40, 4, "0/0.0"))
    warm_up = sum(one < 1 for one in due_s)
    with (tmp_path / "run" / "locust_stats.csv").open() as file:
        counted = {row["Name"]: int(row["Request Count"]) for row in csv.DictReader(file)}
    expected = {"/v1/answer": len(due_s) - warm_up, "/v1/answer (warm-up)": warm_up, "Aggregated": len(due_s)}
    assert counted == expected
    assert len(outcomes) == len(due_s) - warm_up
    (report,) = report_runs([tmp_path / "run"], tmp_path / "report", seed=0)
    assert report.answered == len(outcomes)


def test_the_same_seed_asks_the_same_at_the_same_times(tmp_path: Path) -> None:
    asked = []
    with canned() as url:
        for name in ("a", "b"):
            _run(tmp_path / name, url, "steady", "rate_per_s=30", "duration_s=1.5", "warm_up_s=0")
            outcomes = read(RunFolder(tmp_path / name).outcomes)
            asked.append(sorted(outcomes, key=lambda one: one.intended_at_s))
    first, again = asked
    assert [(one.sample_id, one.image_sha256) for one in first] == [(one.sample_id, one.image_sha256) for one in again]
    due_s = list(poisson(30, 1.5, "0/0.0"))
    for run_of_it in asked:
        since_first = [one.intended_at_s - run_of_it[0].intended_at_s for one in run_of_it]
        assert since_first == pytest.approx([one - due_s[0] for one in due_s], abs=1e-4)


def test_two_processes_share_the_rate_and_one_folder(tmp_path: Path) -> None:
    """Locust's distributed mode: workers send their outcomes to the master."""
    changes = ("rate_per_s=40", "users=2", "duration_s=3", "warm_up_s=0")
    with canned() as url:
        summary = _run(tmp_path / "run", url, "steady", *changes, locust=("--processes", "2"))
    outcomes = read(RunFolder(tmp_path / "run").outcomes)
    assert {one.sample_id.split("-")[0] for one in outcomes} == {"0.0", "1.0"}
    assert len({one.sample_id for one in outcomes}) == len(outcomes) == summary.requests
    counts = [sum(one.sample_id.startswith(source) for one in outcomes) for source in ("0.0-", "1.0-")]
    assert counts == [len(list(poisson(20, 3, f"0/{source}"))) for source in ("0.0", "1.0")]


@pytest.mark.parametrize(("name", "lens"), [("matcha", "false"), ("qwen_vl", "true")])
def test_both_services_answer_under_load(name: str, lens: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    service: Service = request.getfixturevalue(name)
    asked = profile.load("smoke", [f"lens={lens}", "duration_s=2", "warm_up_s=0"])
    summary = run(Plan(name, asked, tmp_path / "run", url=service.url))
    assert summary.answered == summary.requests > 5
    (report,) = report_runs([tmp_path / "run"], tmp_path / "report", seed=0)
    assert (report.lens is not None) == (lens == "true")


def test_refusals_are_a_class_of_failure_of_their_own(matcha: Service, tmp_path: Path) -> None:
    """The lens requested of MatCha: the warm-up question fails before the load starts."""
    with pytest.raises(LoadTestError, match="rejected the warm-up question with 422"):
        run(Plan("matcha", profile.load("smoke", ["lens=true"]), tmp_path / "run", url=matcha.url))


def test_certificates_that_are_not_there_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(LoadTestError, match="the certificates in SSL_CERT_FILE cannot be used"):
        _run(tmp_path / "run", "https://127.0.0.1:9", "smoke")


def test_an_unreachable_service_is_reported(tmp_path: Path) -> None:
    with pytest.raises(LoadTestError, match="is it a Tallyglass service, and running"):
        _run(tmp_path / "run", "http://127.0.0.1:9", "smoke")
