"""Measurements of one run, worked out by hand: by group, with baselines, with intervals over images."""

from pathlib import Path
from typing import Any

import pytest

from clients.replay.analysis.bootstrap import exact_interval
from clients.replay.analysis.scores import RunReport, ScoreRow, Table, compute, load_run
from clients.replay.errors import ReplayError
from clients.replay.run.outcomes import Failed, Scored
from tests.unit.replay.reading import answered, columns, record_of, write_run

STRING, NUMBER, YES_NO = ({"answer_type": name} for name in ("string", "numerical", "binary"))


def asked(number: int, answer: str, gold: str, image: str, kind: str, **changes: object) -> Scored:
    return answered(answer, gold, image, question=f"q{number}", labels={"kind": kind}, **changes)


# Nine answers about two images, four and five of them; only one image has a binary question.
CHARTS = [
    asked(1, "9", "7", "b.png", "retrieval", **NUMBER),
    asked(2, "tree", "tree", "a.png", "retrieval", **STRING),
    asked(3, "100", "100", "a.png", "structure", **NUMBER),
    asked(4, "7.0", "7", "b.png", "structure", **NUMBER),
    asked(5, "oak", "fir", "a.png", "retrieval", **STRING),
    asked(6, "no", "yes", "b.png", "retrieval", **YES_NO),
    asked(7, "elm", "elm", "b.png", "structure", **STRING),
    asked(8, "tree", "tree", "a.png", "retrieval", **STRING),
    asked(9, "7", "7", "b.png", "retrieval", **NUMBER),
]
ASKED = asked(10, "yes", "yes", "a.png", "reasoning", **YES_NO).model_dump(exclude={"outcome"})
LOST = Failed.model_validate({**ASKED, "failure": {"kind": "timeout", "message": "m"}})


@pytest.fixture
def report(tmp_path: Path) -> RunReport:
    return compute("run", record_of("realcqa"), columns(tmp_path, [*CHARTS, LOST], "realcqa"), seed=0)


def score(row: ScoreRow | None, metric: str) -> tuple[float, float, float, float | None]:
    assert row is not None
    (found,) = (entry for entry in row.scores if entry.metric == metric)
    return found.value, found.low, found.high, found.baseline


def table(report: RunReport, key: str) -> Table:
    (found,) = (entry for entry in report.tables if entry.key == key)
    return found


# With two images, a quarter of the resamples have only the first, a quarter only the second: these bound the interval.
def test_the_overall_score_is_the_mean_over_questions(report: RunReport) -> None:
    assert report.overall is not None
    overall = report.overall
    assert (overall.group, overall.question, overall.n, overall.pictures, overall.majority) == ("all", "q1", 9, 2, "7")
    assert score(overall, "exact_match") == pytest.approx((5 / 9, 2 / 5, 3 / 4, 3 / 9))
    assert score(overall, "by_type_rule") == pytest.approx((6 / 9, 3 / 5, 3 / 4, 3 / 9))


def test_in_the_macro_mean_every_type_weighs_alike(report: RunReport) -> None:
    assert report.macro is not None
    macro = report.macro
    assert (macro.group, macro.question, macro.n, macro.pictures) == ("mean over 3 types", "", 9, 2)
    assert macro.majority is None
    # strings, numbers, binary; a resample of only the first image has no binary question
    first, both, second = (2 / 3 + 1) / 2, (3 / 4 + 2 / 4 + 0) / 3, (1 + 1 / 3 + 0) / 3
    assert score(macro, "exact_match") == pytest.approx((both, min(both, second), first, (2 / 4 + 3 / 4 + 1) / 3))
    assert score(macro, "by_type_rule")[0] == pytest.approx((3 / 4 + 3 / 4 + 0) / 3)


def test_each_type_has_its_own_questions_images_and_baseline(report: RunReport) -> None:
    string, number, yes_no = table(report, "answer_type").rows
    heads = [(row.group, row.question, row.n, row.pictures, row.majority) for row in (string, number, yes_no)]
    assert heads == [
        ("string", "q2", 4, 2, "tree"),
        ("numerical", "q1", 4, 2, "7"),
        ("binary", "q6", 1, 1, "yes"),
    ]
    assert score(string, "exact_match") == pytest.approx((3 / 4, 2 / 3, 1, 2 / 4))
    assert score(number, "exact_match") == pytest.approx((2 / 4, 1 / 3, 1, 3 / 4))
    assert score(number, "by_type_rule") == pytest.approx((3 / 4, 2 / 3, 1, 3 / 4))
    assert score(yes_no, "exact_match") == pytest.approx((0, *exact_interval(0, 1), 1))


def test_the_baseline_is_scored_by_each_question_s_own_type(tmp_path: Path) -> None:
    """Always answering 100 is close enough to the number 101, but is not equal to the title 101."""
    golds = (("100", NUMBER), ("101", STRING), ("100", NUMBER), ("101", NUMBER), ("100", NUMBER))
    outcomes = [asked(n, "?", gold, "a", "structure", **kind) for n, (gold, kind) in enumerate(golds)]
    found = compute("run", record_of("realcqa"), columns(tmp_path, outcomes, "realcqa"), seed=0)
    assert score(found.overall, "by_type_rule")[3] == 4 / 5
    assert score(found.overall, "exact_match")[3] == 3 / 5


def test_groups_come_in_the_task_s_order_and_one_alone_has_no_table(report: RunReport) -> None:
    assert [entry.key for entry in report.tables] == ["answer_type", "kind"]
    assert [(row.group, row.n) for row in table(report, "kind").rows] == [("structure", 3), ("retrieval", 6)]
    assert (report.answered, report.failed, report.unasked) == (9, 1, 0)
    assert [(entry.failure, entry.n) for entry in report.failures] == [("timeout", 1)]


def test_a_group_that_is_all_right_has_the_exact_interval_of_its_images(tmp_path: Path) -> None:
    right = [asked(n, "x", "x", image, "structure", **STRING) for n, image in enumerate("aabbbc")]
    others = [asked(9, "no", "yes", "d", "retrieval", **STRING)]
    found = compute("run", record_of("realcqa"), columns(tmp_path, [*right, *others], "realcqa"), seed=0)
    structure = table(found, "kind").rows[0]
    assert (structure.n, structure.pictures) == (6, 3)
    assert score(structure, "exact_match") == pytest.approx((1, *exact_interval(1, 3), 1))
    assert found.macro is None, "there is one type alone"


def test_an_all_right_macro_mean_is_as_certain_as_the_type_with_the_fewest_images(tmp_path: Path) -> None:
    strings = [asked(n, "x", "x", image, "structure", **STRING) for n, image in enumerate("aabbbc")]
    numbers = [asked(n, "7", "7", image, "structure", **NUMBER) for n, image in enumerate("aac")]
    found = compute("run", record_of("realcqa"), columns(tmp_path, [*strings, *numbers], "realcqa"), seed=0)
    assert score(found.macro, "exact_match") == pytest.approx((1, *exact_interval(1, 2), 1))


def test_counts_come_by_size_and_have_no_baseline_within_one_count(tmp_path: Path) -> None:
    pairs = [("10", "10"), ("3", "2"), ("2", "2"), ("10", "9"), ("2", "2")]
    kinds = (("simple", "vqa"), ("complex", "vqa"), ("complex", "amt"), ("simple", "amt"), ("complex", "amt"))
    labels = [{"complexity": kind, "script": "Latin", "source": source} for kind, source in kinds]
    outcomes = [answered(*pair, labels=own) for pair, own in zip(pairs, labels, strict=True)]
    found = compute("run", record_of(), columns(tmp_path, outcomes), seed=0)
    assert [(entry.key, entry.title, entry.detail) for entry in found.tables] == [
        ("gold", "By count", False),
        ("complexity", "Simple and complex", False),
        ("source", "By source", True),
    ], "all are of one script"
    by_count = table(found, "gold").rows
    assert [(row.group, row.n, row.majority) for row in by_count] == [("2", 3, None), ("9", 1, None), ("10", 1, None)]
    assert [score(row, "count_accuracy")[::3] for row in by_count] == [(2 / 3, None), (0, None), (1, None)]
    by_kind = [(row.group, row.majority) for row in table(found, "complexity").rows]
    assert by_kind == [("simple", "10"), ("complex", "2")]
    assert found.macro is None
    assert (found.counts is not None, found.lens) == (True, None)


def test_the_seed_decides_every_interval(tmp_path: Path) -> None:
    outcomes = [answered("3" if n % 3 else f"{n}", image=f"{n * n % 17}", latency_ms=n * n) for n in range(60)]
    run = columns(tmp_path, outcomes)
    one, again, other = (compute("run", record_of(), run, seed) for seed in (1, 1, 2))
    assert one == again
    assert one.counts is not None
    assert other.counts is not None
    assert one.counts.rmse_interval != other.counts.rmse_interval
    assert one.latency != other.latency
    assert score(one.overall, "count_accuracy")[1:3] != score(other.overall, "count_accuracy")[1:3]


def test_a_run_s_record_says_what_is_missing_and_by_when_an_answer_is_due(tmp_path: Path) -> None:
    shard = {"index": 1, "count": 3, "questions": 5}
    record = record_of(shard=shard, load={"deadline_ms": 100})
    due: dict[str, Any] = {"sent_at_s": 10.0, "intended_at_s": 10.0, "finish_reason": "length"}
    sent = [answered(latency_ms=ms, **due) for ms in (50, 100, 200)]
    found = compute("run", record, columns(tmp_path, sent, load=record.load), seed=0)
    assert (found.unasked, found.truncated, found.torn_lines) == (2, 3, 0)
    assert found.latency is not None
    assert found.latency.goodput_per_s == pytest.approx(2 / 0.2)


def test_a_run_without_an_answer_has_no_scores(tmp_path: Path) -> None:
    found = compute("run", record_of("realcqa"), columns(tmp_path, [LOST], "realcqa"), seed=0)
    assert (found.overall, found.macro, found.tables, found.latency) == (None, None, (), None)
    assert (found.answered, found.failed, found.unasked) == (0, 1, 8)


def test_of_a_load_test_every_line_is_read_and_of_another_run_the_last_of_each_question(tmp_path: Path) -> None:
    outcomes = [answered(sample_id="s"), answered(sample_id="s")]
    runs = [write_run(tmp_path / str(load), outcomes, record_of(load=load)) for load in (None, {"deadline_ms": 100})]
    assert [load_run(run)[1].n for run in runs] == [1, 2]


def test_a_run_of_an_unknown_task_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [], record_of("chartqa"))
    with pytest.raises(ReplayError, match=rf"^{run} is a run of task 'chartqa', which this version does not know\.$"):
        load_run(run)
