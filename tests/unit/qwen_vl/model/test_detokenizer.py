"""An answer's text as it grows, and where it stops."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.qwen_vl.model.detokenizer import Detokenizer

WORDS = ["one", " two", " th", "ree", " four"]


def text_of(ids: list[int]) -> str:
    return "".join(WORDS[one] for one in ids)


def bytes_of(ids: list[int]) -> str:
    return bytes(ids).decode(errors="replace")


def test_pieces_are_the_text() -> None:
    text = Detokenizer(text_of, ())
    assert [text.push(one) for one in range(5)] == WORDS
    assert text.rest() == ""


def test_an_answer_that_ends_before_its_first_token_is_empty() -> None:
    text = Detokenizer(text_of, ("two",))
    assert (text.rest(), text.text, text.stopped) == ("", "", False)


@pytest.mark.parametrize("stops", [("three",), ("zzz", " three"), (" th", "ree"), ("two three f",)])
def test_nothing_of_a_stop_string_is_sent(stops: tuple[str, ...]) -> None:
    text = Detokenizer(text_of, stops)
    sent = ""
    for one in range(5):
        sent += text.push(one)
        if text.stopped:
            break
    whole = "".join(WORDS)
    assert text.stopped
    assert sent + text.rest() == text.text == whole[: min(whole.find(stop) for stop in stops if stop in whole)]


def test_what_only_began_like_a_stop_string_comes_out_at_the_end() -> None:
    text = Detokenizer(text_of, (" threshold",))
    assert [text.push(one) for one in range(4)] == ["one", " two", "", " three"]
    assert (text.rest(), text.stopped) == ("", False)


@pytest.mark.parametrize(
    ("stops", "pieces"),
    [
        ((" thread",), ["one", " two", "", " three", " four"]),
        (("o th", "three!"), ["one", " tw", ""]),
        (("ree f", "r"), ["one", " two", " th", ""]),  # the one that ends first, not the longest
        (("ree four", "e f"), ["on", "e two", " th", "", "re"]),
        (("ee fo", "ree four"), ["on", "e two", " th", "", "r"]),
        (("ree", "three"), ["one", " two", " ", ""]),  # of two that end together, the longest
    ],
    ids=str,
)
def test_what_may_be_a_stop_string_waits_until_it_is_one_or_not(stops: tuple[str, ...], pieces: list[str]) -> None:
    text = Detokenizer(text_of, stops)
    sent = [text.push(one) for one in range(len(pieces))]
    assert sent == pieces
    assert text.rest() == ""


def test_an_answer_that_could_be_either_of_two_stop_strings_waits_for_the_longer() -> None:
    text = Detokenizer(text_of, ("o zero", " two threw"))
    assert [text.push(one) for one in range(4)] == ["one", "", "", " two three"]


def test_only_the_start_of_a_stop_string_at_the_very_end_waits() -> None:
    text = Detokenizer(text_of, ("one t!",))
    assert [text.push(one) for one in (0, 1, 0, 4)] == ["", "one tw", "o", "one four"]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.lists(st.sampled_from(["a", "b", "ab", "ba", "三", "aab"]), min_size=1, max_size=12),
    st.lists(st.text("ab三", min_size=1, max_size=4), max_size=3),
    st.data(),
)
def test_in_whatever_pieces_a_text_comes_it_ends_before_the_stop_string_that_ends_first(
    words: list[str], stops: list[str], data: st.DataObject
) -> None:
    whole = "".join(words).encode()
    cuts = sorted(data.draw(st.sets(st.integers(1, len(whole)))) | {len(whole)})
    tokens = [whole[start:end] for start, end in zip([0, *cuts], cuts, strict=False)]
    text = Detokenizer(lambda ids: b"".join(tokens[one] for one in ids).decode(errors="replace"), tuple(stops))
    sent = ""
    for number in range(len(tokens)):
        sent += text.push(number)
        assert "\ufffd" not in sent
        assert not any(stop in sent for stop in stops)
        if text.stopped:
            break
    read = whole.decode()
    ends = [end for end in range(len(read) + 1) if any(read[:end].endswith(stop) for stop in stops)]
    assert text.stopped == bool(ends)
    cut = min(ends[0] - len(stop) for stop in stops if read[: ends[0]].endswith(stop)) if ends else None
    assert sent + text.rest() == text.text == read[:cut]


def test_a_character_is_sent_whole() -> None:
    text = Detokenizer(bytes_of, ())
    assert [text.push(byte) for byte in "3三".encode()] == ["3", "", "", "三"]


def test_the_start_of_a_stop_string_before_half_a_character_waits_as_well() -> None:
    text = Detokenizer(bytes_of, ("3三",))
    assert [text.push(byte) for byte in "23三".encode()] == ["2", "", "", "", ""]
    assert (text.text, text.stopped) == ("2", True)


def test_a_character_that_never_ends_is_shown_as_broken() -> None:
    text = Detokenizer(bytes_of, ())
    assert text.push("三".encode()[0]) == ""
    assert text.rest() == "\ufffd"
