"""Counting errors, against numbers worked out by hand."""

import tempfile
from pathlib import Path

import numpy as np
import pytest

from clients.replay.analysis.counts import CountMeasurements, measure_counts
from clients.replay.run.outcomes import Scored
from tests.unit.replay.reading import answered, columns, resamples


def figures(folder: Path, outcomes: list[Scored]) -> CountMeasurements:
    run = columns(folder, outcomes)
    found = measure_counts(run, resamples(run))
    assert found is not None
    return found


def test_the_root_mean_square_error_is_over_the_answers_that_spell_a_number(tmp_path: Path) -> None:
    """Errors 2, 0, 1, 4; two answers are not numbers, and one question is not about a count."""
    outcomes = [
        *(answered(answer, gold) for answer, gold in (("5", "3"), ("3", "3"), ("四", "5"), ("9", "5"))),
        *(answered(answer, "7") for answer in ("many", "seven dogs")),
        answered("90", "1", answer_type="numerical"),
    ]
    found = figures(tmp_path, outcomes)
    assert (found.n, found.unread) == (4, 2)
    assert found.rmse == pytest.approx(np.sqrt((4 + 0 + 1 + 16) / 4))


def test_its_interval_resamples_images(tmp_path: Path) -> None:
    """Of two images, a quarter of the resamples have only the first, a quarter only the second."""
    near = [answered(answer, "3", image="near.png") for answer in ("4", "2", "5")]
    far = [answered(answer, "3", image="far.png") for answer in ("6", "3", "none at all")]
    found = figures(tmp_path, [near[0], *far, *near[1:]])
    assert found.rmse_interval == pytest.approx((np.sqrt((1 + 1 + 4) / 3), np.sqrt((9 + 0) / 2)))


def test_its_baseline_says_the_commonest_gold_count_every_time(tmp_path: Path) -> None:
    """The most common is 2, although none of its answers is a number; 4 and 9 are off by 2 and 7."""
    outcomes = [
        answered(answer, gold)
        for answer, gold in (("?", "2"), ("4", "4"), ("?", "2"), ("9", "9"), ("?", "2"), ("8", "9"))
    ]
    assert figures(tmp_path, outcomes).rmse_baseline == pytest.approx(np.sqrt((0 * 3 + 4 + 49 * 2) / 6))


def test_of_two_gold_counts_as_common_the_smaller_is_the_baseline(tmp_path: Path) -> None:
    outcomes = [answered("5", gold) for gold in ("9", "2", "9", "2", "3")]
    assert figures(tmp_path, outcomes).rmse_baseline == pytest.approx(np.sqrt((49 * 2 + 1) / 5))


def test_an_absurdly_large_count_is_as_far_off_as_it_says(tmp_path: Path) -> None:
    assert figures(tmp_path, [answered(f"{10**10}", "0")]).rmse == pytest.approx(1e10)


def test_the_confusion_has_a_row_per_gold_count_and_a_last_column_for_other_answers(tmp_path: Path) -> None:
    pairs = [
        ("3", "2"),
        ("2", "2"),
        ("2", "2"),
        ("0", "15"),
        ("15", "15"),
        ("16", "15"),
        ("?", "15"),
        ("15", "0"),
        ("4", "16"),
    ]
    confusion = figures(tmp_path, [answered(answer, gold) for answer, gold in pairs]).confusion
    cells = {(gold, given): n for gold, row in enumerate(confusion) for given, n in enumerate(row) if n}
    assert cells == {(2, 3): 1, (2, 2): 2, (15, 0): 1, (15, 15): 1, (15, 16): 2, (0, 15): 1}
    assert (len(confusion), {len(row) for row in confusion}) == (16, {17})
    assert {type(n) for row in confusion for n in row} == {int}, "a count of questions has no decimals in JSON"


@pytest.mark.parametrize("outcome", [answered("many"), answered("3", "3", answer_type="numerical")])
def test_without_a_count_there_are_no_figures(tmp_path: Path, outcome: Scored) -> None:
    run = columns(tmp_path, [outcome])
    assert measure_counts(run, resamples(run)) is None


def test_a_resample_without_a_number_is_passed_over(tmp_path: Path) -> None:
    outcomes = [answered("5", "3", image="near.png"), answered("many", "3", image="far.png")]
    assert figures(tmp_path, outcomes).rmse_interval == (2, 2)


def test_its_interval_is_as_wide_as_the_images_are_few_and_depends_on_the_seed(tmp_path: Path) -> None:
    errors = [place**2 % 7 for place in range(40) for _ in range(5)]

    def interval(per_image: int, seed: int = 0) -> tuple[float, float]:
        outcomes = [answered(str(3 + error), image=f"{at // per_image}.png") for at, error in enumerate(errors)]
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        run = columns(folder, outcomes)
        found = measure_counts(run, resamples(run, seed))
        assert found is not None
        return found.rmse_interval

    (low, high), (apart_low, apart_high) = interval(5), interval(1)
    # the five questions of an image err alike, so only a fifth as many are independent
    assert (high - low) / (apart_high - apart_low) == pytest.approx(np.sqrt(5), rel=0.15)
    assert interval(5) == (low, high) != interval(5, seed=1)
