"""The summary of a folder: worked by hand on small runs."""

from pathlib import Path

import pytest

from clients.replay.report import report_runs
from clients.replay.run.folder import RunFolder
from clients.replay.run.outcomes import Failure, FailureKind
from loadtests.errors import LoadTestError
from loadtests.results.outcomes import Outcome
from loadtests.results.summary import Spread, failure_class, summarize, window
from tests.unit.loadtests.making import BUSY, LATE, UNSENT, exact, folder_of, result


def test_rates_goodput_and_percentiles_of_a_small_run(tmp_path: Path) -> None:
    """Twenty requests in ten seconds: 15 answered in 50 ms, 3 in 300 ms, one refused, one never answered."""
    answered = [result(i / 2, 50, lag_ms=i) for i in range(15)] + [result(7.5 + i / 2, 300) for i in range(3)]
    summary = summarize(folder_of(tmp_path / "run", [*answered, result(9.0, 2, BUSY), result(9.5, 5000, LATE)]))
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
    assert summary.lag.n == 20  # a request that was refused was late, too
    assert summary.lag.max_ms == pytest.approx(14, abs=1e-3)
    assert summary.saturated is None


def test_a_summary_tells_which_run_it_is_of(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "tuesday", [result(0, 80)], loop="closed", rate_per_s=None, objective_ms=70)
    summary = summarize(folder)
    told = (summary.name, summary.service, summary.variant, summary.profile, summary.loop, summary.objective_ms)
    assert told == ("tuesday", "matcha", "bf16", "p", "closed", 70)


def test_percentiles_are_interpolated_and_tell_of_how_many_values() -> None:
    """The q-th percentile of 0 to 200 in steps of 2 is 2q; between values it is interpolated."""
    spread = Spread.of([float(2 * i) for i in reversed(range(101))])
    assert spread == Spread(101, 100, 180, 190, 198, 200)
    assert Spread.of([10.0, 30.0]).p95_ms == pytest.approx(29)
    assert Spread.of([]) == Spread(0, None, None, None, None, None)


def test_an_answer_is_good_by_when_it_was_due_not_by_when_it_was_sent(tmp_path: Path) -> None:
    """Each was answered 60 ms after it was sent; one was sent 50 ms late, so its latency was 110 ms."""
    summary = summarize(folder_of(tmp_path / "run", [result(0, 61), result(1, 110, lag_ms=50), result(2, 62)]))
    assert summary.answered == 3
    assert summary.good == 2
    assert summary.good_per_s == pytest.approx(0.2)
    assert summary.latency.max_ms == pytest.approx(110)


@pytest.mark.parametrize(("latency_ms", "good"), [(74.999, 1), (75.0, 1), (75.001, 0)])
def test_an_answer_at_the_objective_is_still_good(tmp_path: Path, latency_ms: float, good: int) -> None:
    """Sent 25 ms late, with an objective of 100 ms."""
    assert summarize(folder_of(tmp_path / "run", [exact(0.0, 0.025, latency_ms)])).good == good


def test_the_window_is_from_the_first_due_to_the_last_end_in_whatever_order_they_were_written() -> None:
    outcomes = [exact(7.0, 7.5, 250), exact(3.0, 4.0, 9000), exact(5.0, 5.0, 100), exact(8.0, 11.0, 500, LATE)]
    assert window(outcomes) == (3.0, 13.0)
    assert window([]) == (0.0, 0.0)


def test_rates_of_answers_are_over_the_duration_at_least_and_that_of_requests_over_the_duration(tmp_path: Path) -> None:
    short = summarize(folder_of(tmp_path / "short", [result(i, 50) for i in range(3)]))
    assert (short.window_s, short.offered_per_s, short.answered_per_s, short.good_per_s) == (10, 0.3, 0.3, 0.3)
    slow = summarize(folder_of(tmp_path / "slow", [result(0, 50), result(9, 11_000), result(5, 70)]))
    rates = (slow.window_s, slow.offered_per_s, slow.answered_per_s, slow.good_per_s)
    assert rates == pytest.approx((20, 0.3, 3 / 20, 2 / 20))


def test_failures_are_no_latencies(tmp_path: Path) -> None:
    """A refusal in 2 ms must not make a service look fast."""
    summary = summarize(folder_of(tmp_path / "run", [result(0, 80), *(result(i / 10, 2, BUSY) for i in range(50))]))
    assert summary.latency.n == 1
    assert summary.latency.p50_ms == pytest.approx(80)
    assert (summary.requests, summary.answered, summary.good) == (51, 1, 1)
    assert summary.good_share == 1 / 51


def test_without_any_request_no_share_was_good(tmp_path: Path) -> None:
    summary = summarize(folder_of(tmp_path / "run", []))
    assert (summary.requests, summary.good_share, summary.most_in_flight, summary.latency.n) == (0, 0, 0, 0)
    assert summary.saturated is None


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (BUSY, "http status 429 queue_full"),
        (Failure(kind=FailureKind.HTTP_STATUS, message="a proxy's page", status=502), "http status 502"),
        (LATE, "timeout"),
        (UNSENT, "connection client_saturated"),
        (Failure(kind=FailureKind.BAD_REPLY, message="answer: missing", status=200), "bad reply 200"),
    ],
)
def test_a_failure_is_counted_under_where_it_got_lost_with_status_and_code(failure: Failure, told: str) -> None:
    assert failure_class(failure) == told


def test_each_class_of_failure_is_counted_apart_the_commonest_first(tmp_path: Path) -> None:
    gone = Failure(kind=FailureKind.HTTP_STATUS, message="x", status=503, code="draining")
    other = Failure(kind=FailureKind.HTTP_STATUS, message="full again", status=429, code="queue_full")
    failures = [LATE, BUSY, gone, other, gone, BUSY]
    summary = summarize(folder_of(tmp_path / "run", [result(i, 2, failure) for i, failure in enumerate(failures)]))
    counted = {"http status 429 queue_full": 3, "http status 503 draining": 2, "timeout": 1}
    assert list(summary.failures.items()) == list(counted.items())


def test_requests_in_flight_are_counted_from_when_they_were_sent(tmp_path: Path) -> None:
    overlapping = [result(5, 10), result(0.0, 1000), result(0.5, 1000), result(0.9, 1000, lag_ms=200)]
    assert summarize(folder_of(tmp_path / "run", overlapping)).most_in_flight == 2


def test_a_request_that_is_sent_when_another_ends_is_not_in_flight_with_it(tmp_path: Path) -> None:
    in_a_row = [exact(1.0, 1.0, 500), exact(0.0, 0.0, 1000), exact(1.5, 1.5, 250)]
    assert summarize(folder_of(tmp_path / "run", in_a_row)).most_in_flight == 1
    together = [*in_a_row, exact(0.5, 0.5, 2000, LATE)]
    assert summarize(folder_of(tmp_path / "more", together)).most_in_flight == 2
    later = [exact(0.0, 0.0, 9000), exact(1.0, 1.0, 1000), exact(3.0, 3.0, 5000), exact(4.0, 4.0, 3000)]
    assert summarize(folder_of(tmp_path / "later", later)).most_in_flight == 3  # one had ended before


@pytest.mark.parametrize(
    ("outcomes", "told"),
    [
        ([result(i / 10, 30, lag_ms=25) for i in range(90)], "p99 scheduling lag is 25 ms, over 20"),
        ([result(0, 1, UNSENT)], "1 requests were not sent"),
        ([result(0, 80), result(1, 1, UNSENT), result(2, 1, BUSY), result(3, 1, UNSENT)], "2 requests were not sent"),
    ],
)
def test_a_saturated_generator_is_said(tmp_path: Path, outcomes: list[Outcome], told: str) -> None:
    assert told in (summarize(folder_of(tmp_path / "run", outcomes)).saturated or "")


def test_three_late_requests_of_a_hundred_saturate_the_generator_and_one_of_three_hundred_does_not(
    tmp_path: Path,
) -> None:
    """The p99 decides: a median would hide the first, a maximum would blame the second."""
    few = [result(i / 10, 500, lag_ms=400) for i in range(3)] + [result(i / 10, 30) for i in range(3, 100)]
    assert "p99 scheduling lag is 400 ms" in (summarize(folder_of(tmp_path / "few", few)).saturated or "")
    one = [result(0, 500, lag_ms=400)] + [result(i / 40, 30) for i in range(1, 300)]
    assert summarize(folder_of(tmp_path / "one", one)).saturated is None


@pytest.mark.parametrize(("lag_s", "saturated"), [(0.019999, False), (0.02, False), (0.020001, True)])
def test_a_lag_of_twenty_milliseconds_may_still_be(tmp_path: Path, lag_s: float, *, saturated: bool) -> None:
    summary = summarize(folder_of(tmp_path / "run", [exact(0.0, lag_s, 5), exact(0.0, lag_s, 5, BUSY)]))
    assert (summary.saturated is not None) == saturated


def test_a_generator_without_a_core_of_its_own_is_said(tmp_path: Path) -> None:
    told = summarize(folder_of(tmp_path / "run", [result(0, 80)], overloaded=True)).saturated
    assert told == "a process of the generator was above 90 % of a core"


@pytest.mark.slow
def test_the_replay_client_reports_on_a_load_test(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run", [result(0, 80), result(1, 90), result(2, 5000, LATE)])
    (report,) = report_runs([folder], tmp_path / "report", seed=0)
    assert (report.answered, report.failed) == (2, 1)
    assert report.latency
    assert report.latency.intended
    assert report.latency.intended.p50_ms == pytest.approx(85)  # from when the requests were due


def test_a_folder_without_a_load_test_is_said(tmp_path: Path) -> None:
    with pytest.raises(LoadTestError, match="is not a run folder"):
        summarize(tmp_path)


def test_a_run_that_was_killed_still_reads(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run", [result(0, 80)])
    with RunFolder(folder).outcomes.open("a") as file:
        file.write('{"outcome": "scored", "samp')
    assert summarize(folder).requests == 1
