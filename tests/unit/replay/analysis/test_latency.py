"""Latency measurements, against numbers worked out by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clients.replay.analysis.latency import LatencyMeasurements, bands, measure_latency
from clients.replay.run.outcomes import Scored
from clients.replay.run.record import Load
from tests.unit.replay.reading import answered, columns, resamples


def timed(latency_ms: float, **changes: Any) -> Scored:
    """An answer with this latency, and other times derived from it."""
    timing = {"queue_ms": latency_ms / 10, "preprocess_ms": 1, "inference_ms": 5, "total_ms": latency_ms - 1}
    return answered(latency_ms=latency_ms, **{"timing": timing, **changes})


def figures(folder: Path, outcomes: list[Scored], deadline_ms: float | None = None) -> LatencyMeasurements:
    run = columns(folder, outcomes, load=Load())
    found = measure_latency(run, resamples(run), deadline_ms)
    assert found is not None
    return found


def test_percentiles_of_every_part_with_their_n(tmp_path: Path) -> None:
    found = figures(tmp_path, [timed(float(ms)) for ms in range(1, 102)])
    parts = {entry.part: entry for entry in found.parts}
    assert list(parts) == ["queue", "preprocess", "inference", "total", "client"]
    client = parts["client"]
    assert (client.n, client.p50_ms) == (101, 51)
    assert [client.p90_ms, client.p95_ms, client.p99_ms] == pytest.approx([91, 96, 100])
    assert parts["queue"].p50_ms == pytest.approx(5.1)
    assert parts["total"].p50_ms == 50


def test_throughput_counts_only_the_time_in_which_an_answer_was_awaited(tmp_path: Path) -> None:
    """Two overlapping requests take 1.5 s together; an hour's pause before the third does not count."""
    sent = [(100.0, 1000), (100.5, 1000), (3700.0, 500)]
    outcomes = [timed(ms, sent_at_s=at) for at, ms in sent]
    found = figures(tmp_path, outcomes)
    assert found.busy_s == pytest.approx(2.0)
    assert found.answers_per_s == pytest.approx(1.5)


def test_a_load_test_s_latency_is_from_when_it_meant_to_send(tmp_path: Path) -> None:
    """One request was sent 2 s late: its own 0.1 s is within the deadline, its user's wait is not."""
    outcomes = [
        timed(100, sent_at_s=10.0, intended_at_s=10.0),
        timed(100, sent_at_s=13.0, intended_at_s=11.0),
    ]
    found = figures(tmp_path, outcomes, deadline_ms=500)
    assert found.intended is not None
    assert (found.intended.part, found.intended.n) == ("from the due time", 2)
    assert found.intended.p50_ms == pytest.approx(1100)
    assert found.goodput_per_s == pytest.approx(1 / 0.2)


def test_first_and_later_questions_about_an_image_are_compared(tmp_path: Path) -> None:
    outcomes = [timed(100.0 if turn == 0 else 10.0, turn=turn) for turn in (0, 1, 2, 0, 1)]
    found = figures(tmp_path, outcomes)
    (table,) = found.tables
    assert table.title == "First and later questions about an image"
    assert [(row.part, row.n, row.p50_ms) for row in table.rows] == [
        ("first question", 2, 100),
        ("later questions", 3, 10),
    ]


def test_few_values_have_a_band_each() -> None:
    found = {label: mask.tolist() for label, mask in bands(np.array([80.0, 16.0, 4.0, 16.0]))}
    assert found == {
        "4": [False, False, True, False],
        "16": [False, True, False, True],
        "80": [True, False, False, False],
    }
    assert len(list(bands(np.arange(6.0)))) == 6


def test_many_values_share_bands_of_about_equal_size() -> None:
    values = np.random.default_rng(0).permutation(np.arange(7.0, 107.0))
    found = list(bands(values))
    assert [label for label, _ in found] == ["7 to 24", "25 to 40", "41 to 57", "58 to 73", "74 to 90", "91 to 106"]
    for label, mask in found:
        low, high = map(int, label.split(" to "))
        assert sorted(values[mask]) == list(range(low, high + 1))


def test_no_answers_have_no_latency(tmp_path: Path) -> None:
    run = columns(tmp_path, [])
    assert measure_latency(run, resamples(run)) is None


def test_the_intervals_of_median_and_p95_resample_images(tmp_path: Path) -> None:
    """Of two images, a quarter of the resamples have only the first, a quarter only the second."""
    slow, fast = [1000 + 10 * n for n in range(1, 12)], list(range(1, 22))
    outcomes = [timed(ms, image="a" if ms > 1000 else "b") for ms in sorted(slow + fast, key=lambda ms: ms % 7)]
    found = figures(tmp_path, outcomes)
    assert list(found.p50_interval) == [11, 1060]
    assert list(found.p95_interval) == [20, 1110]


def test_intervals_go_by_the_seed(tmp_path: Path) -> None:
    run = columns(tmp_path, [timed(ms**2, image=f"{ms}.png") for ms in range(1, 60)])
    one, again, other = (measure_latency(run, resamples(run, seed)) for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_each_band_has_the_client_s_latency(tmp_path: Path) -> None:
    def used(image_tokens: int, completion_tokens: int) -> dict[str, int]:
        return {"image_tokens": image_tokens, "prompt_tokens": 7, "completion_tokens": completion_tokens}

    outcomes = [
        timed(100, usage=used(16, 1), cache="hit"),
        timed(400, usage=used(80, 1), cache="miss"),
        timed(300, usage=used(80, 2), cache="miss"),
    ]
    found = figures(tmp_path, outcomes).tables
    tables = {table.title: [(row.part, row.n, row.p50_ms) for row in table.rows] for table in found}
    assert tables == {
        "By cache result": [("hit", 1, 100), ("miss", 2, 350)],
        "By image tokens (patches)": [("16", 1, 100), ("80", 2, 350)],
        "By answer length (tokens)": [("1", 2, 250), ("2", 1, 300)],
    }


def test_where_nothing_tells_apart_there_is_no_table(tmp_path: Path) -> None:
    assert figures(tmp_path, [timed(100, cache="hit", turn=0), timed(200, cache="hit", turn=0)]).tables == ()


def test_answers_that_took_several_attempts_are_counted(tmp_path: Path) -> None:
    found = figures(tmp_path, [timed(100, attempts=attempts) for attempts in (1, 2, 5, 1, 1, 3)])
    assert found.retried == 3


def test_an_answer_at_the_deadline_is_within_it(tmp_path: Path) -> None:
    """A replay has no due times, so latency counts."""
    sent = [(10.0, 500.0), (10.5, 250.0), (10.75, 501.0)]
    found = figures(tmp_path, [timed(ms, sent_at_s=at) for at, ms in sent], deadline_ms=500)
    assert found.intended is None
    assert found.goodput_per_s == pytest.approx(2 / 1.251)


def test_without_a_deadline_there_is_no_goodput_and_without_a_clock_no_rate(tmp_path: Path) -> None:
    found = figures(tmp_path, [timed(100)])
    assert (found.busy_s, found.answers_per_s, found.goodput_per_s, found.intended) == (None, None, None, None)


def test_a_short_request_within_a_long_one_adds_no_time(tmp_path: Path) -> None:
    sent = [(102.5, 500), (100.0, 2000), (100.5, 200)]
    found = figures(tmp_path, [timed(ms, sent_at_s=at) for at, ms in sent])
    assert found.busy_s == pytest.approx(2.5)
