"""Scores worked out by hand."""

import pytest

from services.training.shared.scores import Score, grouped, percent, wilson_interval


@pytest.mark.parametrize(("successes", "n"), [(7, 10), (3, 10), (190, 200), (0, 5), (5, 5)])
def test_the_interval_of_a_share_is_wilsons(successes: int, n: int) -> None:
    """The shares p for which (p - s) is 1.96 standard errors of p itself: the two roots of a quadratic."""
    z, share = 1.959963984540054, successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    assert wilson_interval(successes, n) == pytest.approx((centre - reach, centre + reach), abs=1e-9)


def test_a_score_stands_beside_what_the_most_frequent_answer_would_get() -> None:
    """One of five is right; always answering 3 would be right twice."""
    score = Score.of([False, True, False, False, False], ["1", "3", "3", "5", "6"])
    assert (score.accuracy, score.majority, score.n) == (20, 40, 5)
    assert (score.low, score.high) == pytest.approx([100 * end for end in wilson_interval(1, 5)])


def test_groups_come_in_the_order_of_their_first_item() -> None:
    groups = grouped(["tea", "milk", "rice", "toast", "malt"], lambda word: word[0])
    assert list(groups.items()) == [("t", ["tea", "toast"]), ("m", ["milk", "malt"]), ("r", ["rice"])]


def test_a_share_is_in_percent() -> None:
    assert percent(each > 2 for each in (1, 3, 5, 2)) == 50
