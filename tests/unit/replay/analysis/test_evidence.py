"""The conclusion about two runs claims no more than its intervals and tests support."""

from dataclasses import replace
from typing import Any

import pytest

from clients.replay.analysis.comparison import Comparison, Difference, McNemar, Ratio
from clients.replay.analysis.evidence import p_value, sentence, signed
from clients.replay.tasks import TASKS
from tests.unit.replay.reading import record_of

HEADLINE = TASKS["tallyqa"].headline
OTHER_METRIC = Difference("exact_match", 0.9, 0.1, -0.8, -0.9, -0.7)
BETTER = Difference(HEADLINE.name, 0.5, 0.6, 0.1, 0.04, 0.16)
WORSE = Difference(HEADLINE.name, 0.6, 0.5, -0.1, -0.16, -0.04)
SLIGHTLY = Difference(HEADLINE.name, 0.6, 0.607, 0.007, 0.002, 0.012)
UNSHOWN = Difference(HEADLINE.name, 0.5, 0.52, 0.02, -0.061, 0.03)
P95 = Ratio("p95", 900, 100, 0.1, 0.05, 0.2)
SAME_SPEED = Ratio("p50", 200, 210, 1.05, 0.9, 1.25)
FEWER_RIGHT, MORE_RIGHT = McNemar(9, 2, 0.04), McNemar(2, 9, 0.04)


def told(
    difference: Difference = BETTER,
    verdict: McNemar = MORE_RIGHT,
    speed: Ratio = SAME_SPEED,
    *,
    pictures: int = 30,
    unpaired: int = 0,
    **changes: Any,
) -> str:
    """The conclusion about run B against run A; keywords change B's record."""
    differences = (OTHER_METRIC, difference)
    found = Comparison("A", "B", 70, pictures, unpaired, 1, verdict, differences, (speed, P95))
    return sentence(found, HEADLINE, (record_of(), record_of(**changes)))


def test_a_difference_shown_by_interval_and_test_is_reported_with_both() -> None:
    assert told() == (
        "B answers better than A (accuracy +10.0 points, +4.0 to +16.0, over 70 questions about 30 images; McNemar "
        "p = 0.040). No difference in speed is detectable (p50 210 ms against 200 ms: 1.05 times as long, "
        "0.90 to 1.25)."
    )


@pytest.mark.parametrize(
    ("difference", "verdict", "words"),
    [
        (WORSE, FEWER_RIGHT, "B answers worse than A (accuracy −10.0 points, −16.0 to −4.0, "),
        (SLIGHTLY, MORE_RIGHT, "B answers better than A (accuracy +0.7 points, +0.2 to +1.2, "),
        (BETTER, McNemar(2, 9, 0.05), "B may answer better than A, but the tests disagree (accuracy +10.0"),
        (UNSHOWN, MORE_RIGHT, "B may answer better than A, but the tests disagree (accuracy +2.0"),
        (WORSE, MORE_RIGHT, "B may answer worse than A, but the tests disagree (accuracy −10.0"),
        (BETTER, FEWER_RIGHT, "B may answer better than A, but the tests disagree (accuracy +10.0"),
        (
            UNSHOWN,
            McNemar(2, 9, 0.05),
            "No difference in quality between B and A is detectable; one beyond 6.1 po",
        ),
        (replace(UNSHOWN, high=0.092), McNemar(2, 3, 1), "; one beyond 9.2 points is unlikely (accuracy +2.0"),
    ],
)
def test_what_is_said_of_quality_follows_from_interval_and_test(
    difference: Difference, verdict: McNemar, words: str
) -> None:
    assert words in told(difference, verdict)


@pytest.mark.parametrize(
    ("speed", "words"),
    [
        (Ratio("p50", 200, 100, 0.5, 0.4, 0.6), "B is faster (p50 100 ms against 200 ms: 0.50 times as long, 0.40 to"),
        (Ratio("p50", 100, 200, 2, 1.5, 2.5), "B is slower (p50 200 ms against 100 ms: 2.00 times as long, 1.50 to 2"),
        (Ratio("p50", 100, 150, 1.5, 1.2, 1.8), "B is slower (p50 150 ms against 100 ms: 1.50 times as long"),
        (
            Ratio("p50", 200, 100, 0.5, 0.4, 1),
            "No difference in speed is detectable (p50 100 ms against 200 ms: 0.50",
        ),
    ],
)
def test_what_is_said_of_speed_follows_from_the_median_s_interval(speed: Ratio, words: str) -> None:
    assert words in told(speed=speed)


def test_the_sentence_warns_of_latencies_that_do_not_compare() -> None:
    machine = {"cpu": "c", "cores": 4, "system": "Linux"}
    cause = ", so the variant may not be the cause."
    assert f"); but they were timed at different concurrency{cause}" in told(concurrency=3)
    assert f"); but they were timed on different machines{cause}" in told(machine=machine)
    both = told(machine=machine, concurrency=3)
    assert f"); but they were timed on different machines and at different concurrency{cause}" in both
    assert "timed" not in told()


def test_the_sentence_says_how_far_it_reaches() -> None:
    assert told(pictures=29).endswith(" With only 29 images the intervals are rough.")
    assert told(unpaired=4).endswith(" 4 answers without a counterpart are excluded.")


@pytest.mark.parametrize(
    ("p", "text"), [(1, "p = 1.000"), (0.0304, "p = 0.030"), (0.001, "p = 0.001"), (0.00099, "p < 0.001")]
)
def test_a_p_value_has_three_digits_at_most(p: float, text: str) -> None:
    assert p_value(p) == text


def test_a_signed_number_has_a_printer_s_minus() -> None:
    assert [signed(1.25, 2), signed(-3.14159), signed(0.0)] == ["+1.25", "−3.1", "+0.0"]
