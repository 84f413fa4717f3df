"""The question index on disk: what is kept, in which order, what becomes a problem, and that it is cleaned up."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.replay.scoring.gold import AnswerType
from clients.replay.tasks.index import SampleIndex
from clients.replay.tasks.sample import Sample, SkippedEntry, SkipReason
from tests.unit.replay.reading import ids, question

MIXED = [question(*pair) for pair in (("d", "z"), ("a", "x"), ("c", "z"), ("b", "y"), ("e", "x"), ("f", "z"))]


def test_images_come_as_they_were_met_and_the_questions_of_each_as_theirs() -> None:
    with SampleIndex(MIXED) as index:
        assert ids(index) == ["d", "c", "f", "a", "e", "b"]
        assert [[sample.id for sample in group] for group in index.by_image()] == [["d", "c", "f"], ["a", "e"], ["b"]]
        assert index.image_keys() == ["z", "x", "y"]
        assert (index.questions(), index.pictures()) == (6, 3)


def test_a_question_comes_back_as_it_went_in() -> None:
    samples = [
        question("1", "a/1.png", question="有几只？", gold=("b", "a"), answer_type=AnswerType.RANKED_LIST),
        question("2", "b/1.png", gold="b, a", answer_type=AnswerType.STRING, labels={"kind": "other", "chart": "pie"}),
    ]
    with SampleIndex(samples) as index:
        assert list(index.samples()) == samples


def test_images_of_one_name_in_two_folders_are_two_images() -> None:
    samples = [question("1", "VG_100K/1.png"), question("2", "VG_100K_2/1.png"), question("3", "VG_100K/1.png")]
    with SampleIndex(samples) as index:
        assert index.image_keys() == ["VG_100K/1.png", "VG_100K_2/1.png"]
        assert ids(index) == ["1", "3", "2"]


def test_of_two_questions_of_one_id_the_first_is_asked_and_the_second_is_a_problem() -> None:
    with SampleIndex([question("1", "x", gold="4"), question("1", "y", gold="5"), question("2", "z")]) as index:
        assert [(sample.id, sample.gold) for sample in index.samples()] == [("1", "4"), ("2", "3")]
        assert list(index.problems()) == [SkippedEntry(SkipReason.DUPLICATE_ID, "1", "an earlier question has this id")]
        assert (index.pictures(), index.image_keys()) == (2, ["x", "z"])


def test_problems_are_listed_in_order_and_filtered_questions_are_counted() -> None:
    entries: list[Sample | SkippedEntry] = [
        SkippedEntry(SkipReason.MISSING_IMAGE, "qa/b.json#1", "no image"),
        *MIXED[:3],
        SkippedEntry(SkipReason.BROKEN_FILE, "qa/a\udcff.json", "cannot be read"),
        *MIXED[3:],
    ]
    with SampleIndex(entries, lambda sample: sample.image_key != "z") as index:
        assert ids(index) == ["a", "e", "b"]
        assert index.passed_over == 3
        assert list(index.problems()) == [
            entries[0],
            SkippedEntry(SkipReason.BROKEN_FILE, r"qa/a\udcff.json", "cannot be read"),
        ]


def test_what_was_asked_already_is_left_out() -> None:
    with SampleIndex(MIXED) as index:
        index.drop(iter(["b", "d", "unknown"]))
        assert ids(index) == ["c", "f", "a", "e"]
        assert index.image_keys() == ["z", "x"]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_index_leaves_no_file_behind(temporary: Path) -> None:
    with SampleIndex(MIXED):
        assert [file.name for file in temporary.glob("replay-*/*")] == ["index.sqlite"]
    assert not list(temporary.iterdir())


def test_a_scan_that_fails_leaves_no_file_behind_either(temporary: Path) -> None:
    def entries() -> Iterator[Sample]:
        yield MIXED[0]
        assert len(list(temporary.iterdir())) == 1
        raise KeyError

    with pytest.raises(KeyError):
        SampleIndex(entries())
    assert not list(temporary.iterdir())
