"""What remains of an outcomes file after a kill: exactly its complete lines, byte for byte."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.replay.errors import ReplayError
from clients.replay.run.outcomes import Failed, Failure, FailureKind, OutcomeReader, OutcomeWriter
from clients.replay.run.resume import cut_torn_line, ids_to_skip, whole_lines_bytes
from clients.replay.scoring.gold import AnswerType
from tests.unit.replay.reading import EXAMPLES, read_outcomes

Make = Callable[..., Any]

BLOCK_BYTES = 1 << 16  # the file is searched backwards in blocks of this size


def failed(name: str, message: str) -> Failed:
    failure = Failure(kind=FailureKind.TIMEOUT, message=message)
    return Failed(
        sample_id=name,
        image="a.png",
        question="q",
        gold="3",
        answer_type=AnswerType.COUNT,
        latency_ms=1,
        failure=failure,
    )


def kept(path: Path, content: bytes) -> bytes:
    path.write_bytes(content)
    cut_torn_line(path)
    return path.read_bytes()


@pytest.fixture
def three(tmp_path: Path) -> bytes:
    """Three outcomes with text of one to four bytes per character."""
    with OutcomeWriter(tmp_path / "three.jsonl") as writer:
        for name, text in (("a", "Äpfel"), ("b", "三\u2028个"), ("c", "🐕 x")):
            writer.write(failed(name, text))
    return (tmp_path / "three.jsonl").read_bytes()


def test_a_cut_at_any_byte_leaves_the_lines_before_it_and_they_read(three: bytes, tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl"
    first, second = (place + 1 for place, byte in enumerate(three[:-1]) if byte == ord("\n"))
    for cut in range(first, second + 1):
        path.write_bytes(three[:cut])
        complete = cut == second - 1  # the whole line without its newline: it can be parsed, but is asked again
        found = read_outcomes(path)
        assert (len(found.failed), found.torn) == (1 + (complete or cut == second), first < cut < second - 1), cut
        cut_torn_line(path)
        assert path.read_bytes() == three[: second if cut == second else first], cut
        assert list(ids_to_skip(path, again=False)) == ["a", "b"][: 1 + (cut == second)], cut


@pytest.mark.parametrize("torn", [1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 2 * BLOCK_BYTES, 200_000])
@pytest.mark.parametrize("whole", [b"", b"\n", b"one\ntwo\n", b"x" * (BLOCK_BYTES - 1) + b"\n", b"x" * 70_000 + b"\n"])
def test_a_torn_line_of_any_length_takes_no_other_with_it(whole: bytes, torn: int, tmp_path: Path) -> None:
    assert kept(tmp_path / "o.jsonl", whole + b"y" * torn) == whole


@given(
    head=st.sampled_from([0, *range(BLOCK_BYTES - 12, BLOCK_BYTES + 2)]),
    lines=st.lists(st.text("a三🐕\r\u2028", max_size=6), max_size=4),
    cut=st.integers(0, 99),
)
@settings(EXAMPLES, max_examples=50)
def test_the_whole_lines_are_those_up_to_the_last_newline(
    head: int, lines: list[str], cut: int, tmp_path: Path
) -> None:
    path = tmp_path / "o.jsonl"
    content = b"x" * head + "".join(f"{line}\n" for line in lines).encode()
    content = content[: len(content) - cut] if cut < len(content) else b""
    path.write_bytes(content)
    assert whole_lines_bytes(path) == content.rfind(b"\n") + 1
    assert kept(path, content) == content[: content.rfind(b"\n") + 1]


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    cut_torn_line(tmp_path / "o.jsonl")
    assert list(ids_to_skip(tmp_path / "o.jsonl", again=True)) == []
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_cut_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match=f"{tmp_path} cannot be changed: Is a directory"):
        cut_torn_line(tmp_path)


def test_failed_questions_are_skipped_unless_they_are_asked_again(tmp_path: Path, scored: Make) -> None:
    path = tmp_path / "o.jsonl"
    with OutcomeWriter(path) as writer:
        for outcome in (failed("a", "x"), scored("b"), failed("c", "x"), failed("d", "x"), scored("c")):
            writer.write(outcome)
    assert set(ids_to_skip(path, again=False)) == {"a", "b", "c", "d"}
    assert set(ids_to_skip(path, again=True)) == {"b", "c"}, "c was answered the second time"


def test_every_outcome_is_read_again_at_its_place(three: bytes, tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl"
    path.write_bytes(three + b'{"torn')
    reader = OutcomeReader(path)
    assert reader.torn == 0, "none was met yet"
    for _ in range(2):  # and the torn line is counted once each time
        found = list(reader)
        assert [reader.at(offset) for offset, _ in found] == [outcome for _, outcome in found]
        assert [outcome.sample_id for _, outcome in found] == ["a", "b", "c"]
        assert reader.torn == 1


def test_a_byte_order_mark_that_an_editor_left_does_not_matter(three: bytes, tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + three.replace(b"\n", b"\r\n"))
    reader = OutcomeReader(path)
    found = list(reader)
    assert [outcome.sample_id for _, outcome in found] == ["a", "b", "c"]
    assert [reader.at(offset) for offset, _ in found] == [outcome for _, outcome in found]


def test_an_invalid_line_is_reported_with_its_number(three: bytes, tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl"
    path.write_bytes(three + json.dumps({"outcome": "scored", "sample_id": 4}).encode() + b"\n" + three)
    with pytest.raises(ReplayError, match=r"o\.jsonl, line 4, is not an outcome: Input should be a valid string"):
        list(OutcomeReader(path))
