"""Paired differences and tests, against scipy and against cases worked out by hand."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from clients.replay.analysis.comparison import Comparison, Difference, Ratio, Run, compare
from clients.replay.run.outcomes import Scored
from clients.replay.tasks import TASKS
from tests.unit.replay.reading import answered, columns


def answers(right: list[bool], latency_ms: float = 100.0, period: int = 7) -> list[Scored]:
    """Answers to questions with gold 3, each about a different image."""
    return [
        answered(
            "3" if hit else "4", image=f"{number}.png", sample_id=str(number), latency_ms=latency_ms + number % period
        )
        for number, hit in enumerate(right)
    ]


def runs_of(folder: Path, *outcomes: list[Scored], task: str = "tallyqa") -> list[Run]:
    """Runs with these outcomes, named alphabetically."""
    for name, _ in zip("ABCD", outcomes, strict=False):
        (folder / name).mkdir(parents=True)
    return [Run(name, columns(folder / name, own, task)) for name, own in zip("ABCD", outcomes, strict=False)]


def compared(folder: Path, *outcomes: list[Scored], task: str = "tallyqa") -> tuple[Comparison, ...]:
    """Compare all runs with the first."""
    first, *others = runs_of(folder, *outcomes, task=task)
    return compare(TASKS[task], first, others, seed=0)


def test_mcnemar_is_scipy_s_exact_test_of_the_questions_on_which_they_differ(tmp_path: Path) -> None:
    first, second = [True] * 30 + [False] * 10, [True] * 22 + [False] * 8 + [True] * 2 + [False] * 8
    (found,) = compared(tmp_path, answers(first), answers(second))
    assert (found.verdict.only_reference, found.verdict.only_other) == (8, 2)
    assert found.verdict.p == pytest.approx(stats.binomtest(2, 10).pvalue)
    accuracy = found.differences[0]
    assert (accuracy.reference, accuracy.other) == (0.75, 0.6)
    assert accuracy.difference == pytest.approx(-0.15)
    assert accuracy.low < -0.15 < accuracy.high


def test_pairs_are_made_by_question_whatever_the_order_and_only_answered_ones(tmp_path: Path) -> None:
    first, second = answers([True, False, True]), list(reversed(answers([True, False, True, True])))
    (found,) = compared(tmp_path, first, second)
    assert (found.n, found.unpaired) == (3, 1)
    assert (found.verdict.only_reference, found.verdict.only_other, found.verdict.p) == (0, 0, 1)
    assert all(entry.difference == 0 for entry in found.differences)


def test_a_question_whose_gold_answer_changed_is_not_paired(tmp_path: Path) -> None:
    second = [answers([True])[0].model_copy(update={"gold": "4"}), answers([True, True])[1]]
    (found,) = compared(tmp_path, answers([True, True]), second)
    assert (found.n, found.unpaired) == (1, 2)


def test_pairing_sees_a_difference_that_two_separate_intervals_would_hide(tmp_path: Path) -> None:
    """Half of all questions are hard for both; the second run loses one easy question in ten."""
    first = [number % 2 == 0 for number in range(200)]
    second = [hit and number % 20 != 0 for number, hit in enumerate(first)]
    (found,) = compared(tmp_path, answers(first), answers(second))
    assert found.differences[0].shown
    assert found.differences[0].low > -0.10


def test_several_comparisons_hold_together(tmp_path: Path) -> None:
    first, second = [True] * 90 + [False] * 30, [True] * 77 + [False] * 13 + [True] * 4 + [False] * 26
    worse = answers(second, period=13)
    alone = compared(tmp_path / "one", answers(first), worse)[0]
    together = compared(tmp_path / "more", answers(first), worse, answers(first), answers(first))
    assert [entry.other for entry in together] == ["B", "C", "D"]
    assert (alone.together, together[0].together) == (1, 3)
    assert together[0].verdict.p == pytest.approx(alone.verdict.p * 3)
    assert together[1].verdict.p == 1, "no probability exceeds 1"
    wider = stats.norm.ppf(1 - 0.025 / 3) / stats.norm.ppf(1 - 0.025)
    for one, many in zip(alone.differences, together[0].differences, strict=True):
        assert (many.high - many.low) / (one.high - one.low) == pytest.approx(wider, abs=0.1)
    assert together[0].latency[0].low < alone.latency[0].low


def test_the_ratio_of_latencies_is_paired(tmp_path: Path) -> None:
    (found,) = compared(tmp_path, answers([True] * 100, latency_ms=100), answers([True] * 100, latency_ms=50))
    median = found.latency[0]
    assert (median.reference_ms, median.other_ms) == (103, 53)
    assert median.low <= 53 / 103 <= median.high < 0.6
    assert median.shown


# each question's image, gold answer, and both runs' answers and latencies; b3 has no number in the reference
PAIRS = {
    "b1": ("b.png", "4", ("4", 10), ("7", 50)),
    "a1": ("a.png", "3", ("3", 400), ("three", 30)),
    "a2": ("a.png", "5", ("7", 100), ("5", 600)),
    "b2": ("b.png", "6", ("6", 30), ("8", 5)),
    "a3": ("a.png", "2", ("6", 300), ("2", 120)),
    "a4": ("a.png", "8", ("9", 200), ("7", 80)),
    "b3": ("b.png", "1", ("?", 20), ("1", 40)),
}


@pytest.fixture
def pair(tmp_path: Path) -> Comparison:
    """The runs of ``PAIRS``, each in a different order, and with questions that the other lacks."""

    def outcomes(side: int, order: list[str]) -> list[Scored]:
        return [
            answered(row[side][0], row[1], row[0], sample_id=name, latency_ms=row[side][1])
            for name, row in ((name, PAIRS[name]) for name in order)
        ]

    first = [answered("0", sample_id="x"), *outcomes(2, list(PAIRS))]
    second = [
        *outcomes(3, ["a4", "b3", "a2"]),
        *(answered("9", sample_id=name) for name in ("y", "z")),
        *outcomes(3, ["b1", "a1", "b2", "a3"]),
    ]
    (found,) = compared(tmp_path, first, second)
    return found


def test_a_comparison_is_of_the_other_run_against_the_reference(pair: Comparison) -> None:
    assert (pair.reference, pair.other, pair.n, pair.pictures, pair.unpaired) == ("A", "B", 7, 2, 3)
    assert (pair.verdict.only_reference, pair.verdict.only_other) == (2, 3)


# With two images, a quarter of the resamples have only the first, a quarter only the second: these bound the interval.
@pytest.mark.parametrize(
    ("metric", "reference", "other", "low", "high"),
    [
        ("count_accuracy", 3 / 7, 4 / 7, 1 / 3 - 2 / 3, 3 / 4 - 1 / 4),
        ("exact_match", 3 / 7, 3 / 7, 1 / 3 - 2 / 3, 2 / 4 - 1 / 4),
        ("rmse", (21 / 6) ** 0.5, (14 / 6) ** 0.5, (1 / 4) ** 0.5 - (21 / 4) ** 0.5, (13 / 2) ** 0.5 - 0),
    ],
)
def test_differences_are_paired_by_question_and_resampled_by_image(
    pair: Comparison, metric: str, reference: float, other: float, low: float, high: float
) -> None:
    (found,) = (entry for entry in pair.differences if entry.metric == metric)
    assert (found.reference, found.other) == pytest.approx((reference, other))
    assert found.difference == pytest.approx(other - reference)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_latencies_are_compared_quantile_by_quantile(pair: Comparison) -> None:
    p50, p95 = pair.latency
    assert (p50.quantile, p50.reference_ms, p50.other_ms, p50.ratio) == ("p50", 100, 50, 0.5)
    assert (p50.low, p50.high) == pytest.approx((80 / 200, 40 / 20))
    assert p95.quantile == "p95"
    assert [p95.reference_ms, p95.other_ms] == pytest.approx([370, 456])
    assert p95.ratio == pytest.approx(456 / 370)
    assert (p95.low, p95.high) == pytest.approx((600 / 400, 50 / 30))


def test_right_or_wrong_is_by_the_task_s_verdict_not_by_its_headline(tmp_path: Path) -> None:
    """104 is close enough to 100 for its type's rule; two thirds of a list is not right."""
    numbers = {"answer_type": "numerical"}
    runs = [
        [
            answered(number, "100", sample_id="n", **numbers),
            answered(items, ("a", "b"), sample_id="l", answer_type="unranked list"),
            answered(text, "x", sample_id="t", answer_type="string"),
        ]
        for number, items, text in (("200", "a, b", "x"), ("104", "a", "y"))
    ]
    (found,) = compared(tmp_path, *runs, task="realcqa")
    assert (found.verdict.only_reference, found.verdict.only_other) == (2, 1)
    assert [entry.metric for entry in found.differences] == [metric.name for metric in TASKS["realcqa"].metrics]


def test_an_absurdly_large_count_is_as_far_off_as_it_says(tmp_path: Path) -> None:
    runs = [[answered(text, "0", sample_id="s")] for text in ("1", f"{10**10}")]
    (found,) = compared(tmp_path, *runs)
    assert (found.differences[-1].metric, found.differences[-1].other) == ("rmse", 1e10)


def test_without_a_count_in_both_answers_there_is_no_distance(tmp_path: Path) -> None:
    runs = [
        [answered(*texts, sample_id=name) for name, texts in pairs]
        for pairs in (
            (("1", ("3", "3")), ("2", ("?", "3"))),
            (("1", ("?", "3")), ("2", ("3", "3"))),
        )
    ]
    (found,) = compared(tmp_path, *runs)
    assert [entry.metric for entry in found.differences] == ["count_accuracy", "exact_match"]


def test_a_resample_without_a_count_in_both_answers_is_passed_over(tmp_path: Path) -> None:
    runs = [
        [answered(first, image="near.png", sample_id="n"), answered(second, image="far.png", sample_id="f")]
        for first, second in (("4", "3"), ("8", "many"))
    ]
    (found,) = compared(tmp_path, *runs)
    rmse = found.differences[-1]
    assert (rmse.metric, rmse.reference, rmse.other, rmse.low, rmse.high) == ("rmse", 1, 5, 4, 4)


def test_runs_that_did_not_differ_may_still_differ(tmp_path: Path) -> None:
    """Resampling 12 images that do not differ shows only that few of all images do."""
    right = [True] * 5 + [False] * 7
    (alone,) = compared(tmp_path / "one", answers(right), answers(right))
    (_, together) = compared(tmp_path / "two", answers(right), answers(right[::-1]), answers(right))
    for found, level in ((alone, 0.95), (together, 0.975)):
        exact = stats.binomtest(0, 12).proportion_ci(level, method="exact").high
        for entry in found.differences[:2]:
            assert (entry.difference, entry.low, entry.high) == pytest.approx((0, -exact, exact))


def test_the_seed_decides_the_intervals(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    first, *others = runs_of(tmp_path, *(answers(list(rng.random(60) < share), period=61) for share in (0.7, 0.5)))
    one, again, other = (compare(TASKS["tallyqa"], first, others, seed) for seed in (1, 1, 2))
    assert one == again != other


def test_a_difference_is_shown_where_the_interval_leaves_none_out() -> None:
    limits = {(0.0, 0.5): False, (0.1, 0.5): True, (-0.5, 0.0): False, (-0.5, -0.1): True, (-0.1, 0.1): False}
    assert {ends: Difference("m", 0, 0, 0, *ends).shown for ends in limits} == limits
    assert {(low, high): Ratio("p50", 1, 1, 1, 1 + low, 1 + high).shown for low, high in limits} == limits
