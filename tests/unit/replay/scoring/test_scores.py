"""Text and yes/no scores, the metrics by name, and the majority baseline."""

import pytest
from anls import anls_score
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.replay.scoring.binary import binary_match, read_binary
from clients.replay.scoring.gold import AnswerType, Gold, as_list, as_text
from clients.replay.scoring.metrics import (
    ANLS,
    COUNT_ACCURACY,
    EXACT_AS_READ,
    EXACT_MATCH,
    RELAXED_PIX2STRUCT,
    RELAXED_STRICT,
    TYPED,
    Metric,
    majority,
)
from clients.replay.scoring.text import anls, exact_match
from clients.replay.tasks import TASKS


@pytest.mark.parametrize(
    ("answer", "gold", "score"),
    [
        ("Bar Chart", " bar chart\n", 1),
        (" bar chart", "Bar Chart", 1),
        ("bar  chart", "bar chart", 0),
        ("bar", "bar chart", 0),
        ("Maße", "Masse", 0),
        ("", "", 1),
    ],
)
def test_exact_match_lower_cases_and_strips_both_sides(answer: str, gold: str, score: float) -> None:
    assert exact_match(answer, gold) == score


WORDS = st.text("aB 3é", max_size=6)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(WORDS, WORDS)
def test_anls_equals_the_anls_package(answer: str, gold: str) -> None:
    assert anls(answer, gold) == pytest.approx(anls_score(answer, [gold], 0.5))


@pytest.mark.parametrize(
    ("answer", "gold", "score"),
    [
        ("abc", "abd", 2 / 3),
        ("abcd", "abc", 3 / 4),
        ("abc", "abcd", 3 / 4),
        ("ABC  def", " abc\tdef", 1),
        ("abcde", "abcxy", 3 / 5),
        ("ab", "ac", 0),
        ("Maß", "Mass", 0),
        ("", "", 1),
        ("", "a", 0),
    ],
)
def test_anls_is_one_minus_the_distance_over_the_longer_length_and_zero_from_one_half_on(
    answer: str, gold: str, score: float
) -> None:
    assert anls(answer, gold) == pytest.approx(score)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(
            (word, True)
            for word in ("yes", "YES", "True", "1", "1.0", "y", "T", " Yes.\n", "Ｙes。", "\u00a0yes\u200b")
        ),
        *((word, False) for word in ("no", "No", "false", "0", "0.0", "N", "f", "no.")),
        *((word, None) for word in ("maybe", "", ".", "yes..", "yes, it is", "10", "not")),
    ],
)
def test_yes_and_no_however_written(text: str, value: bool | None) -> None:  # noqa: FBT001 - the expectation
    assert read_binary(text) is value


@pytest.mark.parametrize(
    ("answer", "gold", "score"),
    [
        *[("False", "No", 1), ("1", "Yes", 1), ("Yes", "No", 0), ("no", "True", 0)],
        *[("maybe", "no", 0), ("maybe", "yes", 0), ("maybe", "maybe", 0)],
    ],
)
def test_an_answer_is_right_if_both_mean_yes_or_both_mean_no(answer: str, gold: str, score: float) -> None:
    assert binary_match(answer, gold) == score


@pytest.mark.parametrize(
    ("answer_type", "answer", "gold", "score"),
    [
        (AnswerType.STRING, "1020", "1000", 0),
        (AnswerType.STRING, " Oak", "oak", 1),
        (AnswerType.NUMERICAL, "1,020", "1000", 1),
        (AnswerType.NUMERICAL, "two", "2", 0),
        (AnswerType.BINARY, "yes", "True", 1),
        (AnswerType.BINARY, "maybe", "maybe", 0),
        (AnswerType.RANKED_LIST, "b, a", ("a", "b"), 0.8597),  # (1 + 2 / log2 3) / (2 + 1 / log2 3)
        (AnswerType.UNRANKED_LIST, "b, a", ("a", "b"), 1),
        (AnswerType.UNRANKED_LIST, "b", ("a", "b"), 2 / 3),
        (AnswerType.COUNT, "三", "3", 1),
        (AnswerType.COUNT, "2.99", "3", 0),
    ],
)
def test_each_type_has_its_rule(answer_type: AnswerType, answer: str, gold: Gold, score: float) -> None:
    assert TYPED.score(answer, gold, answer_type) == pytest.approx(score, abs=1e-4)


@pytest.mark.parametrize(
    ("metric", "name", "scores"),
    [
        (EXACT_MATCH, "exact_match", [0, 0, 0, 1, 0]),
        (EXACT_AS_READ, "exact_match_as_read", [0, 0, 0, 1, 0]),
        (RELAXED_STRICT, "relaxed_strict", [1, 0, 0, 1, 0]),
        (RELAXED_PIX2STRUCT, "relaxed_pix2struct", [1, 1, 0, 0, 0]),
        (ANLS, "anls", [0, 0.75, 0, 1, 2 / 3]),
        (COUNT_ACCURACY, "count_accuracy", [0, 0, 1, 0, 0]),
    ],
)
def test_every_metric_is_the_score_that_its_name_says(metric: Metric, name: str, scores: list[float]) -> None:
    pairs = [("10.4", "10"), ("2008", "2009"), ("two", "2"), (" oak", "Oak"), ("elk", "elm")]
    assert metric.name == name
    assert [metric.score(answer, gold, AnswerType.STRING) for answer, gold in pairs] == pytest.approx(scores)


@pytest.mark.parametrize("metric", [EXACT_MATCH, EXACT_AS_READ, RELAXED_STRICT, RELAXED_PIX2STRUCT, ANLS])
def test_metrics_of_text_see_a_list_as_it_is_written(metric: Metric) -> None:
    assert metric.score("a, b", ("A", "B"), AnswerType.RANKED_LIST) == 1
    assert metric.score("a,b", ("B", "A"), AnswerType.RANKED_LIST) < 1


@pytest.mark.parametrize(
    ("task", "answer", "gold", "answer_type", "headline", "verdict"),
    [
        ("realcqa", "Oak", "oak", AnswerType.STRING, 1, 1),
        ("realcqa", "oaks", "oak", AnswerType.STRING, 0, 0),
        ("realcqa", "104", "100", AnswerType.NUMERICAL, 0, 1),
        ("realcqa", "2009", "2010", AnswerType.NUMERICAL, 0, 0),
        ("realcqa", "b, a", ("a", "b"), AnswerType.UNRANKED_LIST, 0, 1),
        ("tallyqa", "three", "3", AnswerType.COUNT, 1, 1),
        ("tallyqa", "3.01", "3", AnswerType.COUNT, 0, 0),
    ],
)
def test_a_run_s_headline_and_the_verdict_on_one_answer(
    task: str, answer: str, gold: Gold, answer_type: AnswerType, headline: float, verdict: float
) -> None:
    scores = [metric.score(answer, gold, answer_type) for metric in (TASKS[task].headline, TASKS[task].verdict)]
    assert scores == [headline, verdict]
    assert {TASKS[task].headline, TASKS[task].verdict} <= {*TASKS[task].metrics}


SAME_TO_A_READER = [
    ("Ｌｉｎｅ chart", "Line chart"),
    ("ﬁne", "fine"),
    ("CO₂", "CO2"),
    ("“Don’t”", '"Don\'t"'),
    ("«Don´t»", '"Don`t"'),
    ("1990–2000", "1990-2000"),
    ("non‑smokers — all", "non-smokers - all"),
    ("line\u00a0chart", "line chart"),
    ("line\u2009 \n chart\u3000", "line chart"),
    ("li\u00adne\u200b chart\ufeff", "line chart"),
    ("Line chart.", "line chart"),
    ("Line chart。", "line chart"),
    ("line chart .", "line chart"),
    ("line chart", "Line chart."),
    ("cafe\u0301", "café"),
    ("1⁄2", "½"),
    ("10⁻²", "10^-2"),
    ("3½", "3 1/2"),
]


@pytest.mark.parametrize(("answer", "gold"), SAME_TO_A_READER)
def test_what_a_reader_sees_alike_is_right_as_read_and_in_its_type_s_rule_and_wrong_to_the_letter(
    answer: str, gold: str
) -> None:
    right = [EXACT_AS_READ, TYPED, RELAXED_STRICT]
    assert [metric.score(answer, gold, AnswerType.STRING) for metric in right] == [1, 1, 1]
    assert [metric.score(answer, gold, AnswerType.STRING) for metric in (EXACT_MATCH, RELAXED_PIX2STRUCT)] == [0, 0]


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        *[("line chart..", "line chart"), ("line.chart", "linechart"), ("line chart", "linechart"), ("Maße", "Masse")],
        *[("cafe", "café"), ("a-b", "a b"), ("'oak'", "oak"), ("oak!", "oak"), ("-5", "5")],
        *[("x10²", "x102"), ("10½", "101/2"), ("10₂", "102"), ("1①", "11")],
    ],
)
def test_what_a_reader_sees_as_different_is_wrong(answer: str, gold: str) -> None:
    assert EXACT_AS_READ.score(answer, gold, AnswerType.STRING) == 0


@pytest.mark.parametrize(
    ("answer_type", "gold"),
    [
        (AnswerType.STRING, "oak"),
        (AnswerType.NUMERICAL, "12.5"),
        (AnswerType.NUMERICAL, "2010"),
        (AnswerType.BINARY, "yes"),
        (AnswerType.RANKED_LIST, ("oak", "elm")),
        (AnswerType.UNRANKED_LIST, ("7", "8")),
        (AnswerType.COUNT, "3"),
    ],
)
def test_a_full_stop_at_the_end_makes_no_difference_to_any_type(answer_type: AnswerType, gold: Gold) -> None:
    assert TYPED.score(f"{as_text(gold)}.", gold, answer_type) == 1
    assert EXACT_AS_READ.score(f"{as_text(gold)}.", gold, answer_type) == 1
    assert EXACT_MATCH.score(f"{as_text(gold)}.", gold, answer_type) == 0
    dotted = f"{gold}." if isinstance(gold, str) else (*gold[:-1], f"{gold[-1]}.")
    assert TYPED.score(as_text(gold), dotted, answer_type) == 1


@pytest.mark.parametrize("answer", ["['b', 'a']", '["b", "a"]', "(b, a)", "b, a."])
def test_a_list_however_written_is_right_as_read_in_the_gold_order_alone(answer: str) -> None:
    for gold, score in ((("b", "a"), 1), (("a", "b"), 0)):
        assert EXACT_AS_READ.score(answer, gold, AnswerType.RANKED_LIST) == score
        assert EXACT_MATCH.score(answer, gold, AnswerType.RANKED_LIST) == 0


def test_a_gold_answer_reads_as_text_and_as_a_list() -> None:
    assert (as_text("a, b"), as_list("a, b")) == ("a, b", ("a, b",))
    assert (as_text(("c", "a", "b")), as_list(("c", "a", "b"))) == ("c, a, b", ("c", "a", "b"))


@pytest.mark.parametrize(
    ("golds", "commonest"),
    [
        ({"b": 3, "a": 2}, "b"),
        ({"Yes": 1, "no": 2, " yes": 2}, "yes"),
        ({"b": 1, "a": 1, "c": 1}, "a"),
        ({("x", "y"): 2, "z": 1}, "x, y"),
        ({"x, y": 1, ("X", "y"): 1, "a": 1}, "x, y"),
    ],
)
def test_the_majority_answer_ignores_case_and_breaks_ties_by_the_alphabet(
    golds: dict[Gold, int], commonest: str
) -> None:
    assert majority(golds) == commonest


def test_nothing_has_no_majority_answer() -> None:
    with pytest.raises(ValueError, match="empty"):
        majority({})
