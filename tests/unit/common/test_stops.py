"""Where an answer's text is cut by stop strings."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.stops import stop_position


@pytest.mark.parametrize(
    ("stops", "expected"),
    [
        ([], "one, two, three"),
        (["four"], "one, two, three"),
        (["two"], "one, "),
        (["three", "two"], "one, "),
        (["two", "three"], "one, "),
        ([", t", "one"], ""),
        (["e, two"], "on"),
        (["e, two, th", "two"], "one, "),  # the one that ends first, not the one that begins first
        (["wo", "two", "o"], "one"[:0]),
        (["wo,", "two,"], "one, "),  # the longer of two that end together
        (["three"], "one, two, "),
        (["three!"], "one, two, three"),
    ],
    ids=str,
)
def test_the_text_ends_before_its_stop_string(stops: list[str], expected: str) -> None:
    assert "one, two, three"[: stop_position("one, two, three", stops)] == expected


def as_a_reader_meets_them(text: str, stops: list[str]) -> int | None:
    """Character by character: the first end of a stop string, minus the longest one that ends there."""
    for end in range(1, len(text) + 1):
        ending = [len(stop) for stop in stops if text[:end].endswith(stop)]
        if ending:
            return end - max(ending)
    return None


@given(st.text("ab", max_size=12), st.lists(st.text("ab", min_size=1, max_size=3), max_size=4))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_it_is_where_a_reader_of_the_growing_text_meets_it(text: str, stops: list[str]) -> None:
    assert stop_position(text, stops) == as_a_reader_meets_them(text, stops)
