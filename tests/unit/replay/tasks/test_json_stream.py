"""JSON read piece by piece is what the whole is, wherever the pieces are cut."""

import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.replay.tasks import json_stream
from clients.replay.tasks.json_stream import BrokenJSONError, fields, items

TEXTS = st.text('a"\\\n😀é', max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(-1e9, 1e9) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(VALUES, max_size=5), st.integers(1, 30), st.sampled_from([None, 1]))
def test_a_list_and_an_object_are_read_whole_in_pieces_of_any_size(
    values: list[Any], chunk: int, indent: int | None
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(json_stream, "_CHUNK_CHARACTERS", chunk)
        assert list(items(io.StringIO(json.dumps(values, indent=indent)))) == values
        named = {str(number): value for number, value in enumerate(values)}
        assert list(fields(io.StringIO(f" {json.dumps(named, indent=indent)}\r\n"))) == list(named.items())


def test_what_json_has_no_number_for_is_null() -> None:
    assert list(items(io.StringIO('[NaN, {"a": -Infinity}, [Infinity, 2]]'))) == [None, {"a": None}, [None, 2]]


@pytest.mark.parametrize(
    ("text", "before", "line", "words"),
    [
        ("", [], 1, "expected '[', but the file ends"),
        ("\n\n {}", [], 3, "expected '[', found '{'"),
        ("[1,\n2,\n", [1, 2], 3, "Expecting value"),
        ("[1,\n2\n", [1, 2], 3, "expected ',' or ']', but the file ends"),
        ("[1\n2]", [1], 2, "expected ',' or ']', found '2'"),
        ("[1]\n\n[2]", [1], 3, "expected the end of the file, found '['"),
        ('[1,\n{"a": "b}]', [1], 2, "Unterminated string"),
        ('[1, {"a"\n"b"}, 3]', [1], 2, "Expecting ':' delimiter"),
        ("[1, " + "9" * 5000 + "]", [1], 1, "limit"),
        ("[" * 100_000, [], 1, "recursion"),
    ],
    ids=lambda value: repr(value)[:20],
)
@pytest.mark.parametrize("chunk", [1, 1 << 20])
def test_what_comes_before_an_error_is_read_and_the_line_is_named(
    text: str, before: list[object], line: int, words: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_stream, "_CHUNK_CHARACTERS", chunk)
    found, error = _read(text)
    assert found == before
    assert error is not None
    assert (error.line, words in str(error)) == (line, True), error


def _read(text: str) -> tuple[list[object], BrokenJSONError | None]:
    """The items before an error, and the error."""
    found = []
    try:
        for value in items(io.StringIO(text)):
            found.append(value)  # noqa: PERF402 - an error must not take along what was read before it
    except BrokenJSONError as error:
        return found, error
    return found, None


@pytest.mark.parametrize("text", ["{1: 2}", '{"a" 1}', '{"a": 1, }', '{"a": 1', "[]"])
def test_what_is_no_object_is_an_error(text: str) -> None:
    with pytest.raises(BrokenJSONError):
        list(fields(io.StringIO(text)))
