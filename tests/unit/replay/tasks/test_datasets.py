"""Dataset readers: the layouts on disk, and every way an entry can be unusable."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from clients.replay.errors import ReplayError
from clients.replay.scoring.gold import AnswerType
from clients.replay.tasks import TASKS
from clients.replay.tasks.index import SampleIndex
from clients.replay.tasks.sample import Split
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


def test_a_chart_in_two_folders_is_asked_about_once_from_the_last_folder(realcqa: Make, block: Make) -> None:
    data = realcqa({"PMC1_a": [block(qa_id="1"), block(qa_id="old")], "PMC2_b": [block(qa_id="2")]})
    for folder, name in (("qa", "json"), ("images", "jpg")):
        (data / f"{folder}2" / f"PMC1_a.{name}").write_bytes((data / folder / f"PMC1_a.{name}").read_bytes())
    (data / "qa2" / "PMC1_a.json").write_text(json.dumps([block(qa_id="1"), block(qa_id="new")]))
    loaded = load("realcqa", data)
    assert [sample.id for sample in loaded.samples] == ["PMC1_a/1", "PMC1_a/new", "PMC2_b/2"]
    assert {sample.image_key for sample in loaded.samples} == {"images2/PMC1_a.jpg", "images2/PMC2_b.jpg"}
    assert [(problem.kind.value, problem.where, problem.detail.split()[0]) for problem in loaded.problems] == [
        ("duplicate file", "images/PMC1_a.jpg", "images2/PMC1_a.jpg"),
        ("duplicate file", "qa/PMC1_a.json", "qa2/PMC1_a.json"),
    ]
    assert not load("realcqa", data, "train").problems, "the chart is not in that split"


def test_one_qa_id_in_two_charts_is_two_questions_and_in_one_chart_a_duplicate(realcqa: Make, block: Make) -> None:
    loaded = load("realcqa", realcqa({"PMC1_a": [block(), block()], "PMC2_b": [block()]}))
    assert [(sample.id, sample.image_key) for sample in loaded.samples] == [
        ("PMC1_a/q1", "images/PMC1_a.jpg"),
        ("PMC2_b/q1", "images2/PMC2_b.jpg"),
    ]
    assert [(problem.kind.value, problem.where) for problem in loaded.problems] == [("duplicate id", "PMC1_a/q1")]


def test_realcqa_s_test_list_may_name_files_paths_and_stems_with_dots(realcqa: Make, block: Make) -> None:
    charts = {stem: [block()] for stem in ("PMC1_a", "PMC2.5_b", "PMC3_c", "PMC4_d", "PMC5_e")}
    data = realcqa(charts, test=["  PMC3_c.PNG ", "", "images/PMC1_a.jpg\r", "PMC2.5_b"])
    assert [sample.id for sample in load("realcqa", data).samples] == ["PMC3_c/q1", "PMC1_a/q1", "PMC2.5_b/q1"]
    assert [sample.id for sample in load("realcqa", data, "train").samples] == ["PMC5_e/q1", "PMC4_d/q1"]
    assert len(load("realcqa", data, "all").samples) == 5


def test_only_charts_and_questions_are_taken_from_realcqa_s_folders(realcqa: Make, block: Make) -> None:
    data = realcqa({"PMC1_a": [block()]})
    (data / "images" / "PMC1_a.jpg").rename(data / "images" / "PMC1_a.JPG")
    for path in ("images/PMC1_a.txt", "images/PMC1_a.zip", "qa/PMC2_b.md", "qa/PMC1_a.json~", "qa.json", "images.zip"):
        (data / path).write_text("not a chart's")
    loaded = load("realcqa", data, "all")
    assert [sample.image_key for sample in loaded.samples] == ["images/PMC1_a.JPG"]
    assert not loaded.problems


@pytest.mark.parametrize("split", ["all", "train"])
def test_the_order_of_questions_is_not_the_disk_s(
    realcqa: Make, block: Make, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = realcqa({f"PMC{number}_a": [block()] for number in (4, 1, 3, 2, 5)}, test=[])
    listed, names = os.scandir, os.listdir
    orders = []
    for backwards in (False, True):

        def scandir(path: Path, *, to: bool = backwards) -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
            return nullcontext(iter(sorted(listed(path), key=lambda entry: entry.name, reverse=to)))

        def listdir(path: Path, *, to: bool = backwards) -> list[str]:
            return sorted(names(path), reverse=to)

        monkeypatch.setattr(os, "scandir", scandir)
        monkeypatch.setattr(os, "listdir", listdir)
        orders.append([sample.image_key for sample in load("realcqa", data, split).samples])
    assert orders[0] == orders[1]
    assert len(orders[0]) == 5


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


def test_tallyqa_s_images_of_one_name_in_two_folders_are_two(tallyqa: Make, tally: Make) -> None:
    names = ["VG_100K/1.png", "VG_100K_2/1.png", "VG_100K/1.png"]
    data = tallyqa([tally(number, image=name) for number, name in enumerate(names)])
    with SampleIndex(TASKS["tallyqa"].scan(data, "test")) as index:
        assert index.image_keys() == names[:2]
    read = TASKS["tallyqa"].pictures(data)
    assert [read(name) for name in names[:2]] == [(data / name).read_bytes() for name in names[:2]]
    assert read(names[0]) != read(names[1])


@pytest.mark.parametrize(
    ("fields", "complexity"),
    [
        ({"issimple": True}, "simple"),
        ({"issimple": False}, "complex"),
        ({"issimple": None, "is_simple": False}, "complex"),
        ({"issimple": None, "is_simple": True}, "simple"),
        *(({"issimple": flag}, "simple") for flag in (1, 1.0, "1", "1.0", "True", "true", " TRUE ", "yes")),
        *(({"issimple": flag}, "complex") for flag in (0, 0.0, "0", "0.0", "False", "false", "no")),
        *(({"issimple": flag}, None) for flag in (-1, 2, "", "maybe", float("nan"), [True])),
        ({"issimple": -1, "is_simple": 0}, "complex"),
    ],
    ids=str,
)
def test_tallyqa_s_questions_are_labelled_simple_or_complex_if_known(
    tallyqa: Make, tally: Make, fields: dict[str, Any], complexity: str | None
) -> None:
    (sample,) = load("tallyqa", tallyqa([tally(1, **fields)])).samples
    assert sample.labels.get("complexity") == complexity


def test_tallyqa_s_files_are_read_before_the_hub_s_and_each_split_from_its_own(tallyqa: Make, tally: Make) -> None:
    data = tallyqa([tally(1), tally(2)])
    tallyqa([tally(3)], split="train")
    (data / "test-00000-of-00001.parquet").write_bytes(b"never opened")
    assert [sample.id for sample in load("tallyqa", data).samples] == ["1", "2"]
    assert [sample.id for sample in load("tallyqa", data, "train").samples] == ["3"]
    (data / "train.json").unlink()
    with pytest.raises(ReplayError, match=r"neither train\.json nor parquet"):
        load("tallyqa", data, "train")


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
        ({"image": "VG_100K/../../secret.png"}, "broken entry"),
        ({"image": "/missing.png"}, "broken entry"),
        ({"image": None}, "broken entry"),
        ({"answer": "many"}, "unknown answer type"),
        ({"answer": 2.5}, "unknown answer type"),
        ({"answer": "2.5"}, "unknown answer type"),
        ({"answer": float("nan")}, "broken entry"),
        ({"question_id": "1"}, "duplicate id"),
        ({"question_id": 1.0}, "duplicate id"),
        ({"image": f"VG_100K/missing{'x' * 300}.png"}, "missing image"),
        ({"answer": "-1"}, "unknown answer type"),
        ({"answer": True}, "unknown answer type"),
        ({"answer": [3]}, "broken entry"),
        ({"question_id": 1}, "duplicate id"),
    ],
)
def test_tallyqa_names_the_entry_it_cannot_use(tallyqa: Make, tally: Make, fields: dict[str, Any], kind: str) -> None:
    loaded = load("tallyqa", tallyqa([tally(1), {**tally(2), **fields}, tally(3)]), "test")
    assert [sample.id for sample in loaded.samples] == ["1", "3"]
    assert kinds(loaded) == [kind]
    assert loaded.problems[0].where == ("1" if kind == "duplicate id" else "test.json#1")


@pytest.mark.parametrize("field", ["qa_id", "question", "answer", "taxonomy id"])
def test_half_a_surrogate_pair_is_named_and_not_sent(realcqa: Make, block: Make, field: str) -> None:
    broken = {**block(qa_id="q2", answer_type="String"), field: "How many \ud83d?"}
    loaded = load("realcqa", realcqa({"PMC1_a": [block(), broken]}))
    assert [sample.id for sample in loaded.samples] == ["PMC1_a/q1"]
    assert [(problem.kind.value, problem.where) for problem in loaded.problems] == [
        ("broken entry", "qa/PMC1_a.json#1")
    ]


@pytest.mark.parametrize("content", [{"a": 1}, "text", None])
def test_tallyqa_whose_file_is_not_a_list_is_refused(tallyqa: Make, content: object) -> None:
    with pytest.raises(ReplayError, match=r"test\.json cannot be read as JSON from line 1 on: expected '\['"):
        load("tallyqa", tallyqa(content))


def test_tallyqa_whose_list_is_broken_from_its_start_is_refused_and_an_empty_one_is_empty(tallyqa: Make) -> None:
    data = tallyqa([])
    assert load("tallyqa", data) == Loaded((), ())
    (data / "test.json").write_text(" [{broken")
    with pytest.raises(ReplayError, match=r"test\.json cannot be read as JSON"):
        load("tallyqa", data)


@pytest.mark.parametrize("task", list(TASKS))
@pytest.mark.parametrize("name", ["nowhere", "file"])
def test_what_is_no_folder_is_refused_by_name(task: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ReplayError, match=f"{name} is not a folder"):
        load(task, tmp_path / name)
