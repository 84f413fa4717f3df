"""Data folders as people unpack, copy and edit them: encodings, left-overs of other systems, links, copies."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clients.replay.errors import ReplayError
from clients.replay.tasks.files import require_folder
from tests.unit.replay.conftest import png
from tests.unit.replay.reading import load

Make = Callable[..., Any]

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
TWO_CHARTS = ["PMC1_a", "PMC2_b"]


def without_qa_folders(data: Path) -> None:
    for path in data.glob("qa*/*"):
        path.unlink()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_file_is_read_in_the_encoding_that_its_first_bytes_tell(
    realcqa: Make, tallyqa: Make, block: Make, tally: Make, encoding: str
) -> None:
    question = "Is “é” 三?"
    data = realcqa({stem: [block(question=question)] for stem in TWO_CHARTS})
    (data / "json").mkdir()
    (data / "json" / "PMC1_a.json").write_text('{"task1": {"output": {"chart_type": "Line"}}}', encoding=encoding)
    blocks = json.dumps([block(question=question)], ensure_ascii=False, indent=1).replace("\n", "\r\n")
    for path in data.glob("qa*/*"):
        path.write_text(blocks, encoding=encoding, newline="")
    (data / "test_filenames.txt").write_text("PMC1_a\r\nPMC2_b\r\n", encoding=encoding, newline="")
    loaded = load("realcqa", data)
    assert [(sample.id, sample.question) for sample in loaded.samples] == [(f"{s}/q1", question) for s in TWO_CHARTS]
    assert loaded.samples[0].labels["chart"] == "line"
    without_qa_folders(data)
    merged = {stem: [block(question=question)] for stem in TWO_CHARTS}
    (data / "merged_qa.json").write_text(json.dumps(merged, ensure_ascii=False), encoding=encoding)
    assert load("realcqa", data) == loaded
    counts = tallyqa([tally(1)])
    (counts / "test.json").write_text(json.dumps([tally(1, question=question)], ensure_ascii=False), encoding=encoding)
    assert [sample.question for sample in load("tallyqa", counts).samples] == [question]


def test_a_byte_in_another_encoding_costs_its_own_entry_and_is_named(
    realcqa: Make, tallyqa: Make, block: Make, tally: Make
) -> None:
    data = tallyqa([tally(1), tally(2), tally(3)])
    (data / "test.json").write_bytes((data / "test.json").read_bytes().replace(b"dogs 2", b"d\xf6gs 2"))
    loaded = load("tallyqa", data)
    assert [sample.id for sample in loaded.samples] == ["1", "3"]
    assert [(problem.where, problem.detail) for problem in loaded.problems] == [
        ("test.json#1", "contains bytes that are not UTF-8: save the file as UTF-8")
    ]
    charts = realcqa({"PMC1_a": [block()]})
    (charts / "test_filenames.txt").write_bytes(b"PMC1_a\nPMC\xe9_b\n")
    with pytest.raises(ReplayError, match=r"test_filenames\.txt, .* is not UTF-8 in line 2: save it as UTF-8\."):
        load("realcqa", charts)
    (charts / "test_filenames.txt").write_bytes("PMC1_a".encode("utf-16") + b"\x00")
    with pytest.raises(ReplayError, match=r"test_filenames\.txt, .* is not UTF-16.*: save it as UTF-8\."):
        load("realcqa", charts)


def test_what_other_systems_leave_behind_is_no_chart(realcqa: Make, block: Make) -> None:
    data = realcqa({"PMC1_a": [block()]})
    expected = load("realcqa", data, "all")
    for name in (
        *("qa/._PMC1_a.json", "images/._PMC1_a.jpg", "qa/.DS_Store", "images/Thumbs.db", "images/desktop.ini"),
        *("__MACOSX/qa/._PMC1_a.json", "qa/.ipynb_checkpoints/PMC1_a-checkpoint.json", "qa/.hidden.json"),
        *("qa/__MACOSX/PMC2_b.json", ".qa/PMC2_b.json", "qa/PMC2_b.json/inside.txt"),
    ):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_bytes(b"\x00\x05\x16\x07")
    assert load("realcqa", data, "all") == expected
    assert not expected.problems


def test_names_in_capitals_and_other_image_formats_are_charts_too(
    realcqa: Make, tallyqa: Make, block: Make, tally: Make
) -> None:
    data = realcqa({stem: [block()] for stem in (*TWO_CHARTS, "PMC3_c")})
    for old, new in (
        *(("images/PMC1_a.jpg", "images/PMC1_a.JPEG"), ("images2/PMC2_b.jpg", "images2/PMC2_b.WebP")),
        *(("images/PMC3_c.jpg", "images/PMC3_c.TIF"), ("qa/PMC1_a.json", "qa/PMC1_a.JSON")),
    ):
        (data / old).rename(data / new)
    (data / "test_filenames.txt").write_text("images\\PMC1_a.JPEG\r\nqa/PMC2_b.JSON\r\nPMC3_c.TIF\r\n")
    loaded = load("realcqa", data)
    assert [sample.image_key for sample in loaded.samples] == [
        *("images/PMC1_a.JPEG", "images2/PMC2_b.WebP", "images/PMC3_c.TIF")
    ]
    assert not loaded.problems
    for old, new in (("images", "Images"), ("qa2", "QA2"), ("test_filenames.txt", "test_filenames.TXT")):
        (data / old).rename(data / new)
    assert [sample.id for sample in load("realcqa", data).samples] == [sample.id for sample in loaded.samples]
    for path in (*data.glob("qa/*"), *data.glob("QA2/*")):
        path.unlink()
    (data / "Merged_QA.json").write_text(json.dumps({"PMC1_a": [block()]}))
    assert [sample.image_key for sample in load("realcqa", data, "all").samples] == ["Images/PMC1_a.JPEG"]
    counts = tallyqa([tally(1)])
    (counts / "test.json").rename(counts / "Test.JSON")
    assert [sample.id for sample in load("tallyqa", counts).samples] == ["1"]


def test_two_files_of_one_chart_in_one_folder_are_named_and_the_last_is_used(realcqa: Make, block: Make) -> None:
    data = realcqa({"PMC1_a": [block()]})
    (data / "images" / "PMC1_a.png").write_bytes(png((1, 2, 3)))
    loaded = load("realcqa", data)
    assert [sample.image_key for sample in loaded.samples] == ["images/PMC1_a.png"]
    assert [(problem.kind.value, problem.where) for problem in loaded.problems] == [
        ("duplicate file", "images/PMC1_a.jpg")
    ]


def test_one_parquet_file_in_two_folders_is_asked_about_once_and_named(tmp_path: Path) -> None:
    name = "test-00000-of-00001.parquet"
    qa = [{"question": "How many?", "answer": answer, "is_simple": 1} for answer in (2.0, float("nan"))]
    for folder in (tmp_path, tmp_path / "data"):
        folder.mkdir(exist_ok=True)
        pq.write_table(
            pa.Table.from_pylist([{"image": {"bytes": png((1, 2, 3)), "path": None}, "qa": qa}]), folder / name
        )
        (folder / f"._{name}").write_bytes(b"\x00\x05\x16\x07")
    loaded = load("tallyqa", tmp_path)
    assert [(sample.id, sample.gold, sample.labels["complexity"]) for sample in loaded.samples] == [
        (f"{name}#0/0", "2", "simple")
    ]
    assert [(problem.where, problem.detail) for problem in loaded.problems] == [
        (f"data/{name}", f"{name} is used, the last of this name"),
        (f"{name}#0/1", "has no usable 'answer'"),
    ]


def test_links_are_followed_and_a_broken_one_is_a_missing_file(
    realcqa: Make, tallyqa: Make, block: Make, tally: Make
) -> None:
    data = realcqa({stem: [block()] for stem in (*TWO_CHARTS, "PMC3_c")})
    (data / "elsewhere").mkdir()
    (data / "images" / "PMC1_a.jpg").rename(data / "elsewhere" / "a.jpg")
    (data / "images" / "PMC1_a.jpg").symlink_to("../elsewhere/a.jpg")
    for image, target in (("images2/PMC2_b.jpg", "nowhere.jpg"), ("images/PMC3_c.jpg", "PMC3_c.jpg")):
        (data / image).unlink()
        (data / image).symlink_to(target)
    loaded = load("realcqa", data)
    assert [sample.id for sample in loaded.samples] == ["PMC1_a/q1"]
    assert [(problem.kind.value, problem.where) for problem in loaded.problems] == [
        ("missing image", "qa2/PMC2_b.json#0"),
        ("missing image", "qa/PMC3_c.json#0"),
    ]
    counts = tallyqa([tally(1), tally(2, image="VG_100K/2.png"), tally(3, image=".\\VG_100K\\1.png")])
    (counts / "VG_100K" / "2.png").unlink()
    (counts / "VG_100K" / "2.png").symlink_to("2.png")
    assert [(sample.id, sample.image_key) for sample in load("tallyqa", counts).samples] == [
        ("1", "VG_100K/1.png"),
        ("3", "VG_100K/1.png"),
    ]


def test_a_chart_without_a_taxonomy_id_is_asked_about_without_a_kind(realcqa: Make, block: Make) -> None:
    blocks = [block(qa_id=str(number)) for number in range(5)]
    del blocks[0]["taxonomy id"]
    blocks[1]["taxonomy id"] = None
    blocks[2]["taxonomy id"] = " "
    blocks[3]["taxonomy id"] = float("nan")
    blocks[4]["taxonomy_id"] = blocks[4].pop("taxonomy id")
    loaded = load("realcqa", realcqa({"PMC1_a": blocks}))
    assert [sample.labels for sample in loaded.samples] == [*[{}] * 4, {"kind": "structure", "taxonomy": "2e"}]
    assert not loaded.problems


def test_empty_files_are_named(realcqa: Make, tallyqa: Make, block: Make) -> None:
    data = realcqa({stem: [block()] for stem in TWO_CHARTS})
    (data / "qa" / "PMC1_a.json").write_bytes(b"")
    (problem,) = load("realcqa", data).problems
    assert (problem.where, problem.detail[-37:]) == (
        "qa/PMC1_a.json",
        "line 1 on: expected '[', but the file ends"[-37:],
    )
    (data / "test_filenames.txt").write_text("\ufeff \r\n", encoding="utf-8")
    with pytest.raises(ReplayError, match=r"test_filenames\.txt, .* is empty"):
        load("realcqa", data)
    counts = tallyqa([])
    (counts / "test.json").write_bytes(b"")
    with pytest.raises(ReplayError, match=r"test\.json cannot be read as JSON .* the file ends"):
        load("tallyqa", counts)


def test_a_folder_that_may_not_be_read_is_refused_by_name(
    realcqa: Make, block: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = realcqa({"PMC1_a": [block()]})

    listed = os.scandir

    def refused(path: Path) -> Any:
        if Path(path).name == "images":
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(ReplayError, match=r"images cannot be read: Permission denied\."):
        load("realcqa", data)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ReplayError, match="no permission"):
        require_folder(data)
