"""Loaders: the layouts as they lie on disk, and every way an entry can be unusable."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clients.replay.errors import ReplayError
from clients.replay.gold import AnswerType
from clients.replay.tasks import TASKS
from tests.unit.replay.reading import Loaded, load

Make = Callable[..., Any]


def kinds(loaded: Loaded) -> list[str]:
    return [problem.kind.value for problem in loaded.problems]


def test_realcqa_reads_every_folder_and_only_the_listed_charts(realcqa: Make, block: Make) -> None:
    charts = {"PMC1_a": [block()], "PMC2_b": [block(qa_id="q2")], "PMC3_c": [block(qa_id="q3")]}
    data = realcqa(charts, test=["PMC2_b", "PMC1_a"])
    test, train = load("realcqa", data, "test"), load("realcqa", data, "train")
    assert [sample.id for sample in test.samples] == ["PMC2_b/q2", "PMC1_a/q1"]
    assert [sample.image_key for sample in test.samples] == ["images2/PMC2_b.jpg", "images/PMC1_a.jpg"]
    assert [sample.id for sample in train.samples] == ["PMC3_c/q3"]
    assert not test.problems


@pytest.mark.parametrize(
    ("taxonomy", "kind"),
    [("1a", "structure"), ("2e", "structure"), ("3x", "retrieval"), ("4", "reasoning"), ("9", "other")],
)
def test_realcqa_labels(realcqa: Make, block: Make, taxonomy: str, kind: str) -> None:
    loaded = load("realcqa", realcqa({"PMC1_a": [block(taxonomy)]}), "test")
    assert loaded.samples[0].labels == {"kind": kind, "taxonomy": taxonomy}


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"answer_type": "Essay"}, "unknown answer type"),
        ({"question": "  "}, "broken entry"),
        ({"answer": None}, "broken entry"),
        ({"answer": {"a": 1}}, "broken entry"),
        ({"answer_type": "Ranked List", "answer": []}, "broken entry"),
        ({"answer_type": "Ranked List", "answer": [None]}, "broken entry"),
        ({"qa_id": None}, "broken entry"),
    ],
)
def test_realcqa_names_the_block_it_cannot_use(realcqa: Make, block: Make, fields: dict[str, Any], kind: str) -> None:
    loaded = load("realcqa", realcqa({"PMC1_a": [block(qa_id="ok"), block(**fields)]}), "test")
    assert [sample.id for sample in loaded.samples] == ["PMC1_a/ok"]
    assert kinds(loaded) == [kind]
    assert loaded.problems[0].where == "qa/PMC1_a.json#1"


def test_realcqa_survives_what_a_disk_can_hold(realcqa: Make, block: Make) -> None:
    charts = {"PMC1_a": "{not json", "PMC2_b": {"a": 1}, "PMC3_c": [block()], "PMC4_d": [block(), block(), "text"]}
    data = realcqa(charts, test=[*charts, "PMC5_e"], without_image=("PMC3_c",))
    loaded = load("realcqa", data, "test")
    assert [sample.id for sample in loaded.samples] == ["PMC4_d/q1"]
    assert Counter(kinds(loaded)) == {
        "broken file": 2,
        "missing image": 1,
        "duplicate id": 1,
        "broken entry": 1,
        "missing questions": 1,
    }


def test_realcqa_without_its_list_of_test_charts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match=r"test_filenames\.txt"):
        load("realcqa", tmp_path, "test")


def test_tallyqa_reads_its_flat_list(tallyqa: Make, tally: Make) -> None:
    entries = [tally(1), tally(2, issimple=False, answer="0"), tally(3, question="有几只狗？", image="train2014/x.png")]
    loaded = load("tallyqa", tallyqa(entries), "test")
    first, second, third = loaded.samples
    assert (first.id, first.image_key, first.gold, first.answer_type) == ("1", "VG_100K/1.png", "3", AnswerType.COUNT)
    assert first.labels == {"script": "Latin", "complexity": "simple", "source": "amt"}
    assert (second.gold, second.labels["complexity"]) == ("0", "complex")
    assert third.labels["script"] == "Han"


def test_tallyqa_train_has_no_complexity(tallyqa: Make, tally: Make) -> None:
    entry = tally()
    del entry["issimple"]
    loaded = load("tallyqa", tallyqa([entry], split="train"), "train")
    assert "complexity" not in loaded.samples[0].labels


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"image": "VG_100K/missing.png"}, "missing image"),
        ({"image": "../secret.png"}, "broken entry"),
        ({"image": None}, "broken entry"),
        ({"answer": "many"}, "unknown answer type"),
        ({"answer": 2.5}, "unknown answer type"),
        ({"question_id": 1}, "duplicate id"),
    ],
)
def test_tallyqa_names_the_entry_it_cannot_use(tallyqa: Make, tally: Make, fields: dict[str, Any], kind: str) -> None:
    loaded = load("tallyqa", tallyqa([tally(1), {**tally(2), **fields}]), "test")
    assert len(loaded.samples) == 1
    assert kinds(loaded) == [kind]


def test_half_a_surrogate_pair_is_named_and_not_sent(realcqa: Make, block: Make) -> None:
    data = realcqa({"PMC1_a": [block(), block(qa_id="q2", question="How many \ud83d?")]})
    loaded = load("realcqa", data, "test")
    assert len(loaded.samples) == 1
    assert kinds(loaded) == ["broken entry"]
    loaded.problems[0].where.encode()


@pytest.mark.parametrize("content", [{"a": 1}, "text"])
def test_tallyqa_whose_file_is_no_list_is_refused(tallyqa: Make, content: object) -> None:
    with pytest.raises(ReplayError, match=r"test\.json"):
        load("tallyqa", tallyqa(content), "test")


@pytest.mark.parametrize("task", list(TASKS))
def test_a_missing_folder_is_refused_by_name(task: str, tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="nowhere"):
        load(task, tmp_path / "nowhere", "test")
