"""What the drills conclude from outcomes at known times."""

from dataclasses import replace

import pytest

from benchmarks.measurements import Measurement
from clients.replay.run.outcomes import Failure, FailureKind
from loadtests.results.outcomes import Outcome
from loadtests.results.summary import Spread
from loadtests.soak.ends import End
from loadtests.soak.load import wrong
from loadtests.soak.overload import judged
from loadtests.soak.target import Memory
from tests.unit.loadtests.making import ANSWER, BUSY, LATE, STARTED, an_ask, exact
from tests.unit.loadtests.results.test_table import FIRST

AT_S = STARTED.timestamp()
DEAD = Failure(kind=FailureKind.HTTP_STATUS, message="the worker died", status=503, code="not_ready")
BROKEN = Failure(kind=FailureKind.HTTP_STATUS, message="oops", status=500)
NOBODY = Failure(kind=FailureKind.CONNECTION, message="[Errno 111] Connection refused")
CUT = Failure(kind=FailureKind.CONNECTION, message="connection closed.")


def sent(after_s: float, latency_ms: float, failure: Failure | None = None) -> Outcome:
    return exact(AT_S + after_s, AT_S + after_s, latency_ms, failure)


def end(*outcomes: Outcome) -> End:
    return End(outcomes, AT_S, after_s=0.5, code=1, wrong=0)


def test_whoever_came_while_there_was_a_server_was_answered_or_told() -> None:
    fine = [sent(-1, 100), sent(-0.5, 600, DEAD), sent(0.1, 2, DEAD), sent(-2, 1, BUSY), sent(0.6, 1, NOBODY)]
    assert end(*fine).unanswered() == []
    bad = [sent(-1, 9, CUT), sent(0.2, 9, CUT), sent(-1, 9000, LATE), sent(-0.1, 1, NOBODY), sent(0.2, 1, BROKEN)]
    assert end(*fine, *bad).unanswered() == bad


def test_what_was_accepted_before_the_signal_is_lost_if_it_was_not_answered() -> None:
    kept = [sent(-1, 3000), sent(-1, 1, BUSY), sent(0.1, 1, DEAD), sent(0.1, 1, CUT)]
    assert end(*kept).lost() == []
    lost = [sent(-1, 1500, DEAD), sent(-0.1, 900, CUT)]
    assert end(*kept, *lost).lost() == lost


def test_whoever_is_refused_waits_from_the_kill_or_from_when_it_asked() -> None:
    assert end(sent(-1, 9000)).told_after_s() == 0, "answers may take what they take"
    assert end(sent(-1, 1250, DEAD), sent(2, 125, DEAD)).told_after_s() == pytest.approx(0.25)
    assert end(sent(-1, 1250, DEAD), sent(2, 500, DEAD)).told_after_s() == pytest.approx(0.5)


def test_answers_are_compared_with_those_of_the_same_sample() -> None:
    sample = an_ask().sample.id
    assert wrong([sent(0, 1), sent(1, 1, DEAD)], {sample: ANSWER.answer, "another": "9"}) == 0
    assert wrong([sent(0, 1), sent(1, 1, DEAD)], {sample: "9", "another": ANSWER.answer}) == 1


def figures(measurements: list[Measurement]) -> dict[str, tuple[float, bool | None]]:
    return {each.figure: (each.value, each.holds) for each in measurements}


def test_an_overload_is_judged_by_goodput_refusals_and_silence() -> None:
    lag = Spread(4, 1.0, 1.0, 1.0, 7.0, 9.0)
    summary = replace(FIRST, good=2, good_per_s=18.0, lag=lag, latency=replace(lag, p50_ms=250.0))
    outcomes = [sent(0, 250), sent(0, 350), sent(0, 4, BUSY), sent(1, 8, BUSY), sent(2, 9000, DEAD), sent(3, 9, CUT)]
    assert figures(judged("3 times", "how", summary, outcomes, capacity_per_s=20.0)) == {
        "3 times: goodput": (90.0, True),
        "3 times: p50 of an answer": (250.0, None),
        "3 times: p99 of a refusal": (
            pytest.approx(8 + 0.98 * 8992),
            False,
        ),  # between the second and the third of three
        "3 times: without an answer": (1.0, False),
        "3 times: p99 lateness of the generator": (7.0, None),
    }
    assert figures(judged("x", "how", summary, outcomes[:4], 20.1))["x: goodput"][1] is False


def test_memory_swings_to_either_side_of_the_middle() -> None:
    assert Memory([95, 100, 97, 105]).swing == 5
    assert Memory([100]).swing == 0
