"""The layouts that the datasets come in besides their authors' first: the hub's, the study's, and broken ones."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clients.replay.errors import ReplayError
from clients.replay.report import report_runs
from clients.replay.run.folder import NAMED_PROBLEMS, RunFolder
from clients.replay.tasks.datasets.realcqa_files import TEST_LIST
from tests.unit.replay.conftest import png
from tests.unit.replay.reading import load

Make = Callable[..., Any]


@pytest.fixture
def hub(tmp_path: Path, block: Make) -> Path:
    """RealCQA as split on the hub: three folders of each kind, and an annotation for some charts."""
    data = tmp_path / "RealCQA"
    for number, suffix in enumerate(("", "2", "3")):
        for kind in ("images", "jsons", "qa"):
            (data / f"{kind}{suffix}").mkdir(parents=True)
        stem = f"PMC{number}_a"
        (data / f"images{suffix}" / f"{stem}.jpg").write_bytes(png((number, 9, 9)))
        (data / f"qa{suffix}" / f"{stem}.json").write_text(json.dumps([block(qa_id="1"), block(qa_id="2")]))
        annotation = {"task1": {"output": {"chart_type": " Scatter"}}} if number else {"task1": "unknown"}
        (data / f"jsons{suffix}" / f"{stem}.json").write_text(json.dumps(annotation))
    (data / "test_filenames.txt").write_text("PMC0_a\nPMC2_a.jpg\n\n")
    return data


def test_the_hub_s_three_folders_are_one_data_set(hub: Path) -> None:
    test, everything = load("realcqa", hub), load("realcqa", hub, "all")
    assert [sample.id for sample in test.samples] == ["PMC0_a/1", "PMC0_a/2", "PMC2_a/1", "PMC2_a/2"]
    assert {sample.image_key for sample in everything.samples} == {
        "images/PMC0_a.jpg",
        "images2/PMC1_a.jpg",
        "images3/PMC2_a.jpg",
    }
    assert not everything.problems


def test_a_listed_chart_without_questions_is_named_and_those_after_it_are_read(hub: Path) -> None:
    (hub / "test_filenames.txt").write_text("PMC9_z\nPMC2_a\n")
    test = load("realcqa", hub)
    assert [(problem.kind.value, problem.where) for problem in test.problems] == [("missing questions", "PMC9_z")]
    assert [sample.id for sample in test.samples] == ["PMC2_a/1", "PMC2_a/2"]


def test_the_type_of_a_chart_is_labelled_if_annotated(hub: Path) -> None:
    charts = {sample.image_key: sample.labels.get("chart") for sample in load("realcqa", hub, "all").samples}
    assert charts == {"images/PMC0_a.jpg": None, "images2/PMC1_a.jpg": "scatter", "images3/PMC2_a.jpg": "scatter"}


@pytest.fixture
def merged(realcqa: Make, block: Make) -> Path:
    """The fine-tuning study's file: all charts in one object; one chart's entry is not a list."""
    data = realcqa({f"PMC{number}_a": [] for number in range(3)}, test=["PMC1_a", "PMC9_z"])
    for folder in data.glob("qa*"):
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    content = {"PMC0_a": [block(qa_id="1")], "PMC1_a": [block(qa_id="1"), block(qa_id="2")], "PMC2_a": "none"}
    (data / "merged_qa.json").write_text(json.dumps(content))
    assert isinstance(data, Path)
    return data


def test_the_study_s_merged_file_is_read_like_the_folders(merged: Path) -> None:
    assert [sample.id for sample in load("realcqa", merged).samples] == ["PMC1_a/1", "PMC1_a/2"]
    assert [sample.id for sample in load("realcqa", merged, "train").samples] == ["PMC0_a/1"]
    everything = load("realcqa", merged, "all")
    assert [sample.id for sample in everything.samples] == ["PMC0_a/1", "PMC1_a/1", "PMC1_a/2"]
    assert [problem.where for problem in everything.problems] == ["merged_qa.json:PMC2_a"]
    (missing,) = load("realcqa", merged).problems
    assert (missing.kind.value, missing.where) == ("missing questions", "PMC9_z")


def test_what_is_wrong_in_the_study_s_file_is_named_by_chart_and_block(merged: Path, block: Make) -> None:
    content = {"PMC0_a": [block(qa_id="1"), block(qa_id="2", question=" ")], "PMC2_a": "none"}
    (merged / "merged_qa.json").write_text(json.dumps(content))
    problems = load("realcqa", merged, "all").problems
    assert [(problem.where, problem.detail) for problem in problems] == [
        ("merged_qa.json:PMC0_a#1", "has no usable 'question'"),
        ("merged_qa.json:PMC2_a", "is not a list of questions"),
    ]


def test_answers_are_read_alike_from_folders_and_from_the_study_s_file(merged: Path, hub: Path, block: Make) -> None:
    blocks = [
        block(qa_id="1", answer=0.1, answer_type="Numerical"),
        block(qa_id="2", answer=["b", "a"], answer_type="Ranked List"),
        block(qa_id="3", answer=["7.25", 8.5], answer_type="Unranked List"),
    ]
    (merged / "merged_qa.json").write_text(json.dumps({"PMC1_a": blocks}))
    (hub / "qa2" / "PMC1_a.json").write_text(json.dumps(blocks))
    expected: list[object] = ["0.1", ("b", "a"), ("7.25", "8.5")]
    assert [sample.gold for sample in load("realcqa", merged).samples] == expected
    assert [sample.gold for sample in load("realcqa", hub, "train").samples] == expected


def test_the_study_s_file_needs_no_list_of_test_charts_for_all_of_them(merged: Path) -> None:
    (merged / TEST_LIST).unlink()
    assert len(load("realcqa", merged, "all").samples) == 3
    with pytest.raises(ReplayError, match=TEST_LIST):
        load("realcqa", merged)


def test_a_folder_without_questions_is_refused(tmp_path: Path) -> None:
    (tmp_path / TEST_LIST).write_text("PMC0_a")
    with pytest.raises(ReplayError, match="neither QA folders"):
        load("realcqa", tmp_path)


def test_a_truncated_list_yields_the_entries_before_and_is_reported(tallyqa: Make, tally: Make) -> None:
    data = tallyqa([tally(number) for number in range(40)])
    content = (data / "test.json").read_text()
    for cut in (content.index("How many dogs 26?"), content.index("}", content.index("How many dogs 26?"))):
        (data / "test.json").write_text(content[:cut])
        loaded = load("tallyqa", data)
        assert [sample.id for sample in loaded.samples] == [str(number) for number in range(26)]
        assert [(problem.kind.value, problem.where) for problem in loaded.problems] == [("broken file", "test.json#26")]
        assert "from line 1 on" in loaded.problems[0].detail


def test_the_study_s_file_that_breaks_off_gives_the_charts_before_and_is_named(merged: Path) -> None:
    path = merged / "merged_qa.json"
    path.write_text(path.read_text().partition('"none"')[0])
    loaded = load("realcqa", merged, "all")
    assert [sample.id for sample in loaded.samples] == ["PMC0_a/1", "PMC1_a/1", "PMC1_a/2"]
    assert [(problem.kind.value, problem.where) for problem in loaded.problems] == [("broken file", "merged_qa.json")]
    assert loaded.problems[0].detail == "cannot be read as JSON from line 1 on: Expecting value"
    path.write_text("[]")
    (problem,) = load("realcqa", merged, "all").problems
    assert "expected '{', found '['" in problem.detail


@pytest.mark.parametrize("told", ["", "  ", 5, None, ["pie"]])
def test_a_chart_whose_annotation_tells_no_type_is_of_none(hub: Path, told: object) -> None:
    (hub / "jsons2" / "PMC1_a.json").write_text(json.dumps({"task1": {"output": {"chart_type": told}}}))
    charts = {sample.image_key: sample.labels.get("chart") for sample in load("realcqa", hub, "all").samples}
    assert (charts["images2/PMC1_a.jpg"], charts["images3/PMC2_a.jpg"]) == (None, "scatter")


@pytest.mark.slow
def test_problems_are_all_named_on_disk_and_all_counted_in_the_report(
    tallyqa: Make, tally: Make, do_run: Make, tmp_path: Path
) -> None:
    missing = NAMED_PROBLEMS + 5
    do_run("tallyqa", tallyqa([tally(0), *(tally(number, image="missing.png") for number in range(1, missing + 1))]))
    record = RunFolder(tmp_path / "run").read_record()
    assert (len(record.problems), record.problem_counts) == (NAMED_PROBLEMS, {"missing image": missing})
    assert len((tmp_path / "run" / "problems.jsonl").read_text().splitlines()) == missing
    report_runs([tmp_path / "run"], tmp_path / "report", seed=0)
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert f'<th>missing image</th><td class="number">{missing}</td>' in page
