"""A run's outcomes as columns: each value in the right column and row, despite duplicates and failures."""

from pathlib import Path

import numpy as np
import pytest

from clients.replay.run.folder import kept_path
from clients.replay.run.outcomes import Failed, OutcomeReader, Scored
from clients.replay.run.record import Load
from tests.unit.replay.reading import answered, columns, failed


def test_every_number_has_the_right_name(tmp_path: Path) -> None:
    first = answered(
        usage={"image_tokens": 11, "prompt_tokens": 12, "completion_tokens": 13},
        timing={"queue_ms": 21, "preprocess_ms": 22, "inference_ms": 23, "total_ms": 24},
        latency_ms=31,
        waited_ms=32,
        attempts=33,
        sent_at_s=34,
        intended_at_s=35,
        turn=36,
    )
    found = columns(tmp_path, [first, answered(latency_ms=41)]).numbers
    assert {name: column[0] for name, column in found.items()} == {
        "image_tokens": 11,
        "completion_tokens": 13,
        "queue": 21,
        "preprocess": 22,
        "inference": 23,
        "total": 24,
        "client": 31,
        "waited": 32,
        "attempts": 33,
        "sent_at_s": 34,
        "intended_at_s": 35,
        "turn": 36,
    }
    assert found["client"][1] == 41
    assert {name for name, column in found.items() if np.isnan(column[1])} == {"sent_at_s", "intended_at_s", "turn"}


def test_of_two_lines_of_one_question_the_later_counts(tmp_path: Path) -> None:
    outcomes: list[Scored | Failed] = [
        answered("4", sample_id="twice", image="old.png", finish_reason="length", cache="hit"),
        answered("5", "5", sample_id="once", image="z.png"),
        failed(sample_id="lost at first"),
        answered("6", sample_id="lost in the end", finish_reason="length"),
        answered("3", sample_id="twice", image="a.png"),
        answered("七", sample_id="lost at first", finish_reason="length", cache="hit"),
        failed(sample_id="lost in the end"),
    ]
    found = columns(tmp_path, outcomes)
    assert (found.n, found.failed, found.truncated) == (3, 1, 1)
    rows = dict(zip(found.ids, range(3), strict=True))
    order = [rows[name] for name in ("once", "twice", "lost at first")]
    assert found.scores["count_accuracy"][order].tolist() == [1, 1, 0]
    assert found.count[order].tolist() == [5, 3, 7]
    assert found.wanted[order].tolist() == [5, 3, 3]
    assert found.hits[order].tolist() == [False, False, True]
    assert {found.hits.dtype, found.shown.dtype} == {np.dtype(bool)}, "numbers would choose rows by their place"
    assert [found.pictures.names[code] for code in found.pictures.codes[order]] == ["z.png", "a.png", "a.png"]
    assert [found.golds[code] for code in found.gold[order]] == ["5", "3", "3"]
    reader = OutcomeReader(tmp_path / "outcomes.jsonl")
    answers = [reader.at(int(offset)) for offset in found.offsets[order]]
    assert [entry.answer for entry in answers if isinstance(entry, Scored)] == ["5", "3", "七"]


def test_in_a_load_test_every_line_counts_also_of_one_question(tmp_path: Path) -> None:
    outcomes: list[Scored | Failed] = [answered("4", sample_id="s"), answered("3", sample_id="s"), failed(), failed()]
    found = columns(tmp_path, outcomes, load=Load())
    assert (found.n, found.failed) == (2, 2)
    assert found.scores["count_accuracy"].tolist() == [0, 1]


def test_groups_are_by_type_gold_and_the_task_s_own_labels(tmp_path: Path) -> None:
    outcomes = [
        answered("x", "tree", answer_type="string", question="q1", labels={"kind": "structure", "chart": "pie"}),
        answered("x", ("a", "b"), answer_type="ranked list", question="q2", labels={"kind": "retrieval"}),
        answered("x", "oak", answer_type="string", question="q3", labels={"kind": "retrieval", "chart": "bar"}),
    ]
    found = columns(tmp_path, outcomes, "realcqa")
    groups = {
        key: [coded.names[code] if code >= 0 else None for code in coded.codes] for key, coded in found.groups.items()
    }
    assert groups == {
        "answer_type": ["string", "ranked list", "string"],
        "kind": ["structure", "retrieval", "retrieval"],
        "chart": ["pie", None, "bar"],
        "taxonomy": [None, None, None],
    }
    assert (found.groups["chart"].codes.tolist(), found.groups["chart"].names) == ([0, -1, 1], ("pie", "bar"))
    assert [found.type.names[code] for code in found.type.codes] == groups["answer_type"]
    assert found.examples == {
        ("answer_type", "string"): "q1",
        ("answer_type", "ranked list"): "q2",
        ("kind", "structure"): "q1",
        ("kind", "retrieval"): "q2",
        ("chart", "pie"): "q1",
        ("chart", "bar"): "q3",
    }
    (tmp_path / "counts").mkdir()
    by_count = columns(tmp_path / "counts", [answered("1", "12"), answered("12", "1"), answered("1", "12")])
    coded = by_count.groups["gold"]
    assert [coded.names[code] for code in coded.codes] == ["12", "1", "12"]


def test_only_counting_questions_have_a_count(tmp_path: Path) -> None:
    outcomes = [answered("四", "12"), answered("many", "2"), answered("7", "7", answer_type="numerical")]
    found = columns(tmp_path, outcomes)
    assert (found.count.tolist(), found.wanted.tolist()) == ([4, -1, -1], [12, 2, -1])


def test_failures_are_counted_by_kind_status_and_code_the_commonest_first(tmp_path: Path) -> None:
    outcomes: list[Scored | Failed] = [
        failed("timeout", "a", message="60 s"),
        failed("http status", "b", status=503, code="not_ready", message="first"),
        failed("http status", "c", status=503, code="not_ready", message="second"),
        failed("http status", "d", status=503, message="no code"),
        answered("4"),
    ]
    found = columns(tmp_path, outcomes)
    assert [(entry.failure, entry.n, entry.example) for entry in found.failures] == [
        ("http status 503 not_ready", 2, "first"),
        ("timeout", 1, "60 s"),
        ("http status 503", 1, "no code"),
    ]
    assert (found.n, found.failed) == (1, 4)


def test_images_with_a_kept_copy_are_marked(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    kept_path(tmp_path / "pictures", "ab" * 32).touch()
    outcomes = [answered(image_sha256=None), answered(image_sha256="cd" * 32), answered(image_sha256="ab" * 32)]
    assert columns(tmp_path, outcomes).shown.tolist() == [False, False, True]


def test_the_sum_over_images_is_of_their_names_and_contents_in_any_order(tmp_path: Path) -> None:
    a1, b2 = answered(image="a", image_sha256="11"), answered(image="b", image_sha256="22")

    def sum_of(*outcomes: Scored) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        return columns(folder, outcomes).pictures_sha256

    same = sum_of(a1, b2)
    assert sum_of(b2, a1, answered(image="a", image_sha256="11")) == same
    others = {
        sum_of(a1),
        sum_of(a1, answered(image="b", image_sha256="23")),
        sum_of(a1, answered(image="c", image_sha256="22")),
        sum_of(answered(image="a", image_sha256="22"), answered(image="b", image_sha256="11")),
    }
    assert len(others | {same}) == 5


@pytest.mark.parametrize("torn", [0, 1])
def test_a_torn_last_line_is_reported(tmp_path: Path, torn: int) -> None:
    (tmp_path / "outcomes.jsonl").write_bytes(b'{"outco' * torn)
    assert columns(tmp_path, []).torn == torn
