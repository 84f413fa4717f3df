"""Reading counts: digits, English words, Han numerals; whole tokens only."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.replay.scoring.counting import count_match, read_count, read_latin
from clients.replay.scoring.han import holds_han, is_han, read_han

ENGLISH = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *((word, number) for number, word in enumerate(ENGLISH)),
        *[("no", 0), ("none", 0), ("Three", 3), ("TWELVE!", 12), ("３", 3), ("٣", 3)],
        *[("3.0", 3), ("3.00.", 3), ("+3", 3), ("“3”", 3), ("\u00a0three\u200b", 3), ("3．", 3), ("3.0e0", None)],
        *[("3", 3), ("12", 12), ("007", 7), ("9" * 18, 10**18 - 1), ("9" * 19, None), ("9" * 5000, None)],
        *[("", None), ("twenty-one", None), ("thirty", None), ("²", None), ("②", None), ("½", None), ("三", None)],
    ],
)
def test_digits_and_english_words(text: str, number: int | None) -> None:
    assert read_latin(text) == number


@pytest.mark.parametrize("text", ["3 dogs", "dogs: 3", "3 or 4", "3, 4", "3 4", "3-4", "3/4", "3.5", "-3", "one two"])
def test_a_sentence_that_mentions_numbers_is_none_of_them(text: str) -> None:
    assert (read_latin(text), read_count(text)) == (None, None)


@pytest.mark.parametrize("edge", list(" \t\r\n.,;:!?\"'()。，！？、"))
def test_space_and_punctuation_around_a_count_do_not_matter(edge: str) -> None:
    assert read_latin(f"{edge}12{edge}") == 12
    assert read_count(f"{edge}四{edge}") == 4


@pytest.mark.parametrize("text", ["#3", "3%", "$3", "~3", "*3*"])
def test_other_signs_around_a_count_do(text: str) -> None:
    assert read_count(text) is None


@pytest.mark.parametrize(
    ("text", "number"), [("②", 2), ("Ⅲ", 3), ("㊂", 3), ("²", 2), ("⑫", 12), ("½", None), ("x", None)]
)
def test_single_characters_of_other_scripts_are_the_numbers_they_are(text: str, number: int | None) -> None:
    assert read_count(text) == number


@pytest.mark.parametrize(
    ("token", "number"),
    [
        *zip("〇零一二三四五六七八九", (0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9), strict=True),
        *zip("两俩倆兩贰叁陆伍拾", (2, 2, 2, 2, 2, 3, 6, 5, 10), strict=True),
        *[("没有", 0), ("沒有", 0), ("无", 0), ("無", 0), ("不存在", 0)],
        *[("十", 10), ("十五", 15), ("二十", 20), ("二十一", 21), ("九十九", 99), ("两个", 2), ("十二个", 12)],
        *[("什么", None), ("陆地", None), ("个", None), ("一百", None), ("百", None), ("廿", None), ("三四", None)],
        *[("零十", None), ("十十", None), ("一十百", None), ("百十", None), ("三狗", None), ("个三", None)],
        *[("三个个", None), ("没有个", None), ("3", None), ("3十", None), ("", None)],
    ],
)
def test_han_numerals(token: str, number: int | None) -> None:
    assert read_han(token) == number


@pytest.mark.parametrize("counter", list("个個只隻条條人家项項种種层層次級级张張块塊つ"))
def test_a_counter_after_a_numeral_does_not_matter(counter: str) -> None:
    assert read_han(f"三{counter}") == read_count(f"三{counter}") == 3
    assert read_han(f"十七{counter}") == 17


DIGITS = "零一二三四五六七八九"


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(0, 99), st.sampled_from(["", "个", "条"]))
def test_every_number_below_a_hundred_is_read_back(number: int, counter: str) -> None:
    tens, units = divmod(number, 10)
    ten = {0: "", 1: "十"}.get(tens, f"{DIGITS[tens]}十")
    written = f"{ten}{DIGITS[units] if units or not tens else ''}{counter}"
    assert read_han(written) == read_count(f" {written}。") == number
    assert read_count(str(number)) == number


def test_latin_reading_knows_no_han_and_the_full_one_knows_both() -> None:
    assert read_latin("三") is None
    assert read_count("三。") == 3
    assert read_count("three") == 3


@pytest.mark.parametrize(
    ("answer", "gold", "score"),
    [
        *[("三", "3", 1), ("3", "3", 1), ("3.", "three", 1), ("none", "0", 1), ("两", "2", 1), ("2", "两", 1)],
        *[("four", "3", 0), ("2", "3", 0), ("30", "3", 0), ("", "0", 0), ("many", "3", 0), ("many", "many", 0)],
    ],
)
def test_an_answer_is_right_in_any_script_and_a_wrong_one_in_none(answer: str, gold: str, score: float) -> None:
    assert count_match(answer, gold) == score


@pytest.mark.parametrize(
    ("text", "holds"), [("a三", True), ("三a", True), ("〇", True), ("𠀀", True), ("abc ひ", False), ("", False)]
)
def test_han_script_is_seen_anywhere_in_a_token(text: str, holds: bool) -> None:  # noqa: FBT001 - the expectation
    assert holds_han(text) is holds


@pytest.mark.parametrize(
    ("first", "last"),
    [(0x3007, 0x3007), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2FA1F), (0x30000, 0x323AF)],
)
def test_han_characters_are_the_blocks_of_ideographs_from_end_to_end(first: int, last: int) -> None:
    found = [is_han(chr(point)) for point in (first - 1, first, last, last + 1)]
    assert found == [False, True, True, False]
