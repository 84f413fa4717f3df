"""Scores against oracles and hand-checked cases; each trap that others fell into has a case of its own."""

import math
import random

import pytest
from anls import anls_score

from clients.replay.gold import AnswerType
from clients.replay.scoring.binary import binary_match, read_binary
from clients.replay.scoring.lists import ranked_exact, ranked_ndcg, split, unranked_f1
from clients.replay.scoring.metrics import EXACT_MATCH, RELAXED_STRICT, TYPED, majority
from clients.replay.scoring.relaxed import relaxed_pix2struct, relaxed_strict
from clients.replay.scoring.text import anls, exact_match


@pytest.mark.parametrize(
    ("answer", "gold", "score"), [("Bar Chart", " bar chart\n", 1), ("bar  chart", "bar chart", 0), ("", "", 1)]
)
def test_exact_match_lower_cases_and_strips(answer: str, gold: str, score: float) -> None:
    assert exact_match(answer, gold) == score


def test_anls_equals_the_anls_package_on_500_pairs() -> None:
    draw = random.Random(11)

    def text() -> str:
        return "".join(draw.choices("abAB  3é", k=draw.randint(0, 7)))

    for _ in range(500):
        answer, gold = text(), text()
        assert anls(answer, gold) == pytest.approx(anls_score(answer, [gold], 0.5)), (answer, gold)


def test_anls_is_zero_from_a_distance_of_one_half_on_and_one_for_nothing_against_nothing() -> None:
    assert anls("ab", "ac") == 0
    assert anls("abc", "abd") == pytest.approx(2 / 3)
    assert anls("", "") == 1


# answer, gold, Pix2Struct's verdict, the strict one
RELAXED_CASES = [
    pytest.param("10.4", "10", 1, 1, id="within-five-percent"),
    pytest.param("10.6", "10", 0, 0, id="beyond-five-percent"),
    pytest.param("100", "95", 0, 0, id="relative-to-the-target"),
    pytest.param("95", "100", 1, 1, id="exactly-five-percent-of-the-target"),
    pytest.param("0.0", "0", 0, 1, id="zero-target-is-text-to-pix2struct"),
    pytest.param("0.01", "0", 0, 0, id="zero-target-wants-zero"),
    pytest.param("50%", "50", 0, 1, id="percent-as-notation"),
    pytest.param("50%", "0.5", 1, 1, id="percent-as-hundredth"),
    pytest.param("50%", "51 %", 1, 1, id="percent-on-both-sides"),
    pytest.param("50%", "5", 0, 0, id="percent-of-something-else"),
    pytest.param("1,000", "1000", 0, 1, id="thousands-separator"),
    pytest.param("1,00", "100", 0, 0, id="misplaced-separator-is-text"),
    pytest.param(" cat", "cat", 0, 1, id="text-is-stripped"),
    pytest.param("CAT", "cat", 1, 1, id="text-is-lower-cased"),
    pytest.param("2008", "2010", 1, 0, id="a-year-has-no-tolerance"),
    pytest.param("2010.0", "2010", 1, 1, id="a-year-is-a-number"),
    pytest.param("2010", "2,010", 0, 1, id="a-separator-makes-no-year"),
    pytest.param("-5", "-5", 1, 1, id="negative-target-equal"),
    pytest.param("-5.1", "-5", 1, 1, id="negative-target-near"),
    pytest.param("100", "-5", 0, 0, id="negative-target-is-not-always-right"),
    pytest.param("5", "-5", 0, 0, id="sign-counts"),
    pytest.param("−5", "-5", 0, 1, id="minus-sign"),
    pytest.param("nan", "5", 0, 0, id="nan-is-no-number"),
    pytest.param("inf", "inf", 0, 1, id="inf-is-text"),
    pytest.param("9" * 400, "9" * 400, 0, 1, id="a-number-too-large-is-text"),
    pytest.param("1_0", "10", 1, 0, id="underscore-is-no-number"),
    pytest.param("５", "5", 1, 0, id="full-width-is-no-number"),
    pytest.param("1e3", "1000", 1, 1, id="exponent"),
    pytest.param("1.05", "1", 0, 1, id="rounding-of-the-bound"),
    pytest.param(".", ".", 1, 1, id="a-dot-is-text"),
    pytest.param("%", "%", 1, 1, id="a-lone-percent-sign-is-text"),
]


@pytest.mark.parametrize(("answer", "gold", "pix2struct", "strict"), RELAXED_CASES)
def test_relaxed_correctness(answer: str, gold: str, pix2struct: float, strict: float) -> None:
    assert (relaxed_pix2struct(answer, gold), relaxed_strict(answer, gold)) == (pix2struct, strict)


def test_both_rules_agree_where_no_trap_lies() -> None:
    draw = random.Random(3)
    for _ in range(500):
        gold = draw.uniform(0.1, 1800) * draw.choice([1, -1])
        answer, target = f"{gold * draw.uniform(0.9, 1.1):.4f}", f"{gold:.4f}"
        assert relaxed_strict(answer, target) == relaxed_pix2struct(answer, target), (answer, target)


@pytest.mark.parametrize(
    ("text", "value"), [("YES", True), ("True", True), ("1", True), ("no.", False), ("maybe", None)]
)
def test_yes_and_no_however_written(text: str, value: bool | None) -> None:  # noqa: FBT001 - the expectation
    assert read_binary(text) is value


def test_an_answer_that_is_neither_yes_nor_no_is_wrong() -> None:
    assert binary_match("maybe", "no") == 0
    assert binary_match("False", "No") == 1


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("A, b ,C", ("a", "b", "c")),
        ("1,000, 2,500", ("1,000", "2,500")),
        ("1,2", ("1", "2")),
        ('["A", "b, c"]', ("a", "b", "c")),
        ("[broken", ("[broken",)),
        ("[]", ()),
        ("", ()),
    ],
)
def test_a_list_is_cut_at_commas_but_not_inside_a_number(text: str, items: tuple[str, ...]) -> None:
    assert split(text) == items


def test_ranked_lists_want_the_order() -> None:
    gold = ("oak", "elm", "fir")
    assert ranked_exact("Oak, elm, fir", gold) == 1
    assert ranked_exact("elm, oak, fir", gold) == 0
    # worth 3, 2, 1; discounts 1, log2 3, log2 4
    ideal = 3 + 2 / math.log2(3) + 1 / 2
    assert ranked_ndcg("oak, elm, fir", gold) == pytest.approx(1)
    assert ranked_ndcg("elm, oak, fir", gold) == pytest.approx((2 + 3 / math.log2(3) + 1 / 2) / ideal)
    assert ranked_ndcg("oak", gold) == pytest.approx(3 / ideal), "the first item is worth most, not nothing"
    assert ranked_ndcg("oak, oak, oak", gold) == pytest.approx(3 / ideal), "a repeated item counts once"
    assert ranked_ndcg("birch", gold) == 0
    assert ranked_ndcg("", gold) == 0


def test_a_ranked_list_of_one_wants_equality() -> None:
    assert ranked_ndcg("oak", ("oak",)) == 1
    assert ranked_ndcg("oak, elm", ("oak",)) == 0


def test_unranked_lists_do_not_and_repeating_an_item_does_not_pay() -> None:
    gold = ("oak", "elm")
    assert unranked_f1("elm, oak", gold) == 1
    assert unranked_f1("oak, oak", gold) == pytest.approx(1 / 2)
    assert unranked_f1("oak, elm, oak, elm", gold) == pytest.approx(2 / 3)
    assert unranked_f1("", gold) == 0


def test_an_item_with_a_comma_counts_as_its_pieces_on_both_sides() -> None:
    assert ranked_exact("Smith, J., oak", ("Smith, J.", "oak")) == 1


def test_each_type_has_its_rule() -> None:
    assert TYPED.score("yes", "True", AnswerType.BINARY) == 1
    assert TYPED.score("1,020", "1000", AnswerType.NUMERICAL) == 1
    assert TYPED.score("b, a", ("a", "b"), AnswerType.UNRANKED_LIST) == 1
    assert TYPED.score("b, a", ("a", "b"), AnswerType.RANKED_LIST) < 1
    assert TYPED.score("1020", "1000", AnswerType.STRING) == 0
    assert TYPED.score("三", "3", AnswerType.COUNT) == 1


def test_metrics_of_text_see_a_list_as_it_is_written() -> None:
    assert EXACT_MATCH.score("a, b", ("A", "B"), AnswerType.RANKED_LIST) == 1
    assert RELAXED_STRICT.score("a, b", ("A", "B"), AnswerType.RANKED_LIST) == 1


def test_the_majority_answer_ignores_case_and_breaks_ties_by_the_alphabet() -> None:
    assert majority({"Yes": 1, "yes": 1, "no": 1}) == "yes"
    assert majority({"b": 1, "a": 1}) == "a"
    assert majority({("x", "y"): 2, "z": 1}) == "x, y"
