"""Reading counts: digits, English words, Han numerals; whole tokens only."""

import pytest

from clients.replay.han import holds_han, read_han
from clients.replay.scoring.counting import count_match, read_count, read_latin


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3", 3),
        (" 3.", 3),
        ("Three", 3),
        ("none", 0),
        ("０", 0),
        ("12", 12),
        ("twenty", 20),
        ("", None),
        ("3 dogs", None),
    ],
)
def test_digits_and_english_words(text: str, number: int | None) -> None:
    assert read_latin(text) == number


@pytest.mark.parametrize("text", ["²", "②", "½", "9" * 5000])
def test_what_int_refuses_is_no_digit_and_no_error(text: str) -> None:
    assert read_latin(text) is None


@pytest.mark.parametrize(("text", "number"), [("②", 2), ("Ⅲ", 3), ("㊂", 3), ("٣", 3), ("½", None), ("9" * 5000, None)])
def test_single_characters_of_other_scripts_are_the_numbers_they_are(text: str, number: int | None) -> None:
    assert read_count(text) == number


@pytest.mark.parametrize(
    ("token", "number"),
    [
        *zip("〇零一二三四五六七八九", (0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9), strict=True),
        *zip("两俩倆兩贰叁陆伍", (2, 2, 2, 2, 2, 3, 6, 5), strict=True),
        *[("十", 10), ("十五", 15), ("二十", 20), ("二十一", 21), ("三个", 3), ("没有", 0), ("无", 0)],
        *[("什么", None), ("陆地", None), ("个", None), ("一百", None), ("三四", None), ("3", None), ("", None)],
    ],
)
def test_han_numerals(token: str, number: int | None) -> None:
    assert read_han(token) == number


def test_latin_reading_knows_no_han_and_the_full_one_knows_both() -> None:
    assert read_latin("三") is None
    assert read_count("三。") == 3
    assert read_count("three") == 3


def test_an_answer_is_right_in_any_script_and_a_wrong_one_in_none() -> None:
    assert count_match("三", "3") == 1
    assert count_match("3", "3") == 1
    assert count_match("four", "3") == 0
    assert count_match("many", "3") == 0


@pytest.mark.parametrize(("text", "holds"), [("a三", True), ("〇", True), ("𠀀", True), ("abc ひ", False), ("", False)])
def test_han_script_is_seen_anywhere_in_a_token(text: str, holds: bool) -> None:  # noqa: FBT001 - the expectation
    assert holds_han(text) is holds
