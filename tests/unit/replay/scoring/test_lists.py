"""Lists as text and their scores: where they are split, and the effect of order, duplicates and length."""

import json
import math
import warnings
from collections.abc import Callable
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.replay.scoring.lists import ranked_exact, ranked_ndcg, split, unranked_f1

TREES = ("oak", "elm", "fir")
WORTH = 3 + 2 / math.log2(3) + 1 / 2  # of TREES in order: gains 3, 2, 1; discounts 1, log2 3, log2 4
TWELVE = tuple("abcdefghijkl")


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("A, b ,C", ("A", "b", "C")),
        ("a; b\nc", ("a", "b", "c")),
        ("a,, b,", ("a", "b")),
        ("two words, and three more", ("two words", "and three more")),
        ("1,000, 2,500", ("1,000", "2,500")),
        ("12,345,678,9", ("12,345,678", "9")),
        ("1,2", ("1", "2")),
        ("1,0000", ("1", "0000")),
        ("1, 000", ("1", "000")),
        ("a,100", ("a", "100")),
        ("1,000a", ("1,000a",)),
        ('["A", "b, c"]', ("A", "b", "c")),
        ("['A', 'b, c'].", ("A", "b", "c")),
        ("[1, 2]", ("1", "2")),
        ("[1.5, 'x', True]", ("1.5", "x", "True")),
        ("('y', 'x')", ("y", "x")),
        ("'y', 'x'", ("y", "x")),
        ("{'y', 'x', 'w'}", ("y", "x", "w")),
        ("[['y', 'x']]", ("y", "x")),
        ("[‘y’, ‘x, w’]", ("y", "x", "w")),
        ("“y”, “x”", ("y", "x")),
        ("['it’s', 'x']", ("it’s", "x")),
        ("y，x、w；v", ("y", "x", "w", "v")),
        ("['it\\'s', \"o'clock\"]", ("it's", "o'clock")),
        ("[oak, elm]", ("oak", "elm")),
        ("(oak, elm).", ("oak", "elm")),
        ("(a) oak, (b) elm", ("(a) oak", "(b) elm")),
        ("'x'", ("'x'",)),
        (' [1, 2.5, "1,000"]', ("1", "2.5", "1,000")),
        ("[broken", ("[broken",)),
        ("[1, 2}", ("[1", "2}")),
        ('{"a": 1}', ('{"a": 1}',)),
        ("[]", ()),
        ("", ()),
        (" , ", ()),
    ],
)
def test_a_list_is_cut_at_commas_but_not_inside_a_number(text: str, items: tuple[str, ...]) -> None:
    assert split(text) == items


def test_what_looks_odd_as_python_is_a_list_all_the_same_and_warns_of_nothing() -> None:
    with warnings.catch_warnings(action="error"):
        assert split(r"['a\d', 'b']") == (r"a\d", "b")


def test_brackets_too_deep_for_json_are_text() -> None:
    assert split("[" * 5000) == ("[" * 5000,)


ITEMS = st.lists(
    st.text("abYZ 019.é-", min_size=1).filter(str.strip) | st.integers(0, 10**10).map("{:,}".format), max_size=6
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(ITEMS, st.sampled_from([", ", ";", "\n", " , "]))
def test_what_was_joined_is_cut_where_it_was_joined(items: list[str], joint: str) -> None:
    expected = tuple(item.strip() for item in items)
    assert split(joint.join(items)) == split(json.dumps(items)) == split(repr(items)) == expected
    assert ranked_exact(repr(items).upper(), tuple(items)) == 1


@pytest.mark.parametrize(
    ("answer", "score"),
    [("Oak, elm, fir", 1), ("elm, oak, fir", 0), ("oak, elm", 0), ("oak, elm, fir, fir", 0), ("", 0)],
)
def test_ranked_lists_want_the_order_and_every_item(answer: str, score: float) -> None:
    assert ranked_exact(answer, TREES) == score


@pytest.mark.parametrize(
    ("answer", "worth"),
    [
        ("oak, elm, fir", WORTH),
        ("elm, oak, fir", 2 + 3 / math.log2(3) + 1 / 2),
        ("fir, elm, oak", 1 + 2 / math.log2(3) + 3 / 2),
        ("oak", 3),
        ("fir", 1),
        ("birch, oak", 3 / math.log2(3)),
        ("oak, oak, oak", 3),
        ("oak, oak, elm", 3 + 2 / 2),
        ("oak, elm, fir, ash, oak", WORTH),
        ("birch", 0),
        ("", 0),
    ],
)
def test_the_first_of_a_ranked_list_is_worth_most_and_a_repeated_item_counts_once(answer: str, worth: float) -> None:
    assert ranked_ndcg(answer, TREES) == pytest.approx(worth / WORTH)


def test_an_item_twice_in_the_gold_list_has_its_first_place_s_worth() -> None:
    gold = ("oak", "elm", "oak", "fir")  # gains 4, 3, and 1 for fir, whose ideal ranks are 1, 2 and 3
    ideal = 4 + 3 / math.log2(3) + 1 / 2
    assert ranked_ndcg("oak, elm, fir", gold) == pytest.approx(1)
    assert ranked_ndcg("elm, oak", gold) == pytest.approx((3 + 4 / math.log2(3)) / ideal)


def test_the_tenth_place_counts_and_the_eleventh_does_not() -> None:
    def swapped(place: int) -> str:
        return ", ".join((*TWELVE[: place - 1], TWELVE[place], TWELVE[place - 1], *TWELVE[place + 1 :]))

    assert ranked_ndcg(swapped(11), TWELVE) == pytest.approx(1)
    # gains 12 down to 1: rank ten should have 3 and has 2
    ideal = sum((12 - place) / math.log2(place + 2) for place in range(10))
    assert ranked_ndcg(swapped(10), TWELVE) == pytest.approx(1 - (3 - 2) / math.log2(11) / ideal)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(TWELVE), min_size=2, max_size=4, unique=True))
def test_no_other_order_of_a_ranked_list_scores_as_much(gold: list[str]) -> None:
    scores = {order: ranked_ndcg(", ".join(order), tuple(gold)) for order in permutations(gold)}
    assert scores.pop(tuple(gold)) == pytest.approx(1)
    assert all(0 < score < 0.999 for score in scores.values())


def test_a_ranked_list_of_one_wants_equality() -> None:
    assert ranked_ndcg("Oak", ("oak",)) == 1
    assert ranked_ndcg("oak, elm", ("oak",)) == 0
    assert ranked_ndcg("elm, oak", ("oak",)) == 0


@pytest.mark.parametrize(
    ("answer", "gold", "score"),
    [
        ("fir, oak, elm", TREES, 1),
        ("oak, elm", TREES, 2 * 2 / (2 + 3)),
        ("oak, elm, fir, ash, yew", TREES, 2 * 3 / (5 + 3)),
        ("oak, oak", ("oak", "elm"), 2 * 1 / (2 + 2)),
        ("oak, elm, oak, elm", ("oak", "elm"), 2 * 2 / (4 + 2)),
        ("oak, elm", ("oak", "oak", "elm"), 2 * 2 / (2 + 3)),
        ("oak", ("oak",), 1),
        ("ash", TREES, 0),
        ("", TREES, 0),
    ],
)
def test_unranked_lists_ignore_the_order_and_repeating_an_item_does_not_pay(
    answer: str, gold: tuple[str, ...], score: float
) -> None:
    assert unranked_f1(answer, gold) == pytest.approx(score)


@pytest.mark.parametrize(
    ("answer", "gold", "f1"),
    [
        ("100,200,300", ("100", "200", "300"), 1),
        ("100,200", ("100", "200", "300"), 2 * 2 / (2 + 3)),
        ("100,999,300", ("100", "200", "300"), 2 * 2 / (3 + 3)),
        ("100,200,300", ("100200300",), 1),
        ("100200300", ("100,200,300",), 1),
        ("100, 200, 300", ("100,200,300",), 1),
        ("100,200,300", ("100,200,300",), 1),
        ("100,200,300", ("7", "8"), 0),
        ("1,200", ("1200",), 1),
        ("1,200", ("1,200", "3,400"), 2 * 1 / (1 + 2)),
        ("1,200", ("1", "200"), 1),
        ("1,200", ("1300", "3400"), 0),
        ("1,000,200,300", ("1000", "200", "300"), 1),
        ("1,200,300", ("1200", "1", "300"), 2 * 2 / (2 + 3)),
        ("1,200,3,400", ("1200", "3400"), 1),
        ("1,200; 3,400", ("3400", "1200"), 1),
        ("-100,200,-300", ("-100", "200", "-300"), 1),
        ("−100,200", ("-100", "200"), 1),
        ("100,200,300%", ("100", "200", "300%"), 1),
        ("100,200.5,300", ("100", "200.5", "300"), 1),
        ("1,200.5,300", ("1200.5", "300"), 1),
        ("100，200，300", ("100", "200", "300"), 1),
        ("1,000 cats", ("1", "2"), 0),
    ],
)
def test_a_comma_between_digits_separates_items_if_one_of_them_is_in_the_other_list(
    answer: str, gold: tuple[str, ...], f1: float
) -> None:
    assert unranked_f1(answer, gold) == pytest.approx(f1)
    assert ranked_exact(answer, gold) == (f1 == 1 and "; " not in answer)


def test_what_no_item_of_the_other_list_is_in_stays_one_item() -> None:
    """Cut into three, 999,888,777 would make one right of four items, not of two."""
    assert unranked_f1("oak; 999,888,777", ("oak", "elm")) == pytest.approx(2 * 1 / (2 + 2))


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("oak, elm, fir.", TREES),
        ("Oak., ELM, fir", TREES),
        ("['oak', 'elm', 'fir']", TREES),
        ("“oak”, elm", ('"oak"', "elm")),
        ("1,000, 2.0, 5%", ("1000", "2", "5 %")),
        ("[1000, 2.0]", ("1,000", "2")),
        ("−1, ２", ("-1", "2")),
    ],
)
def test_items_are_compared_as_read_and_numbers_by_value(answer: str, gold: tuple[str, ...]) -> None:
    assert ranked_exact(answer, gold) == ranked_ndcg(answer, gold) == unranked_f1(answer, gold) == 1


@pytest.mark.parametrize(
    ("answer", "gold"), [("50%, 2", ("50", "2")), ("10², 2", ("102", "2")), ("1.01, 2", ("1", "2"))]
)
def test_items_that_are_not_the_same_number_differ(answer: str, gold: tuple[str, ...]) -> None:
    assert unranked_f1(answer, gold) == 0.5


def test_an_item_with_a_comma_counts_as_its_pieces_on_both_sides() -> None:
    gold = ("Smith, J.", "oak", "elm")
    assert ranked_exact("Smith, J., oak, elm", gold) == 1
    assert ranked_ndcg("Smith, J., oak, elm", gold) == 1
    assert unranked_f1("oak, elm, Smith, J.", gold) == 1


@pytest.mark.parametrize("score", [ranked_exact, ranked_ndcg, unranked_f1])
def test_a_list_without_items_wants_none(score: Callable[[str, tuple[str, ...]], float]) -> None:
    assert score("", (",",)) == 1
    assert score("oak", (",",)) == 0
