import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from services.training.samples import realcqa, realcqa_shifted

FIELDS = {"taxonomy id", "QID", "question", "answer", "answer_type", "qa_id", "PMC_ID"}
Write = Callable[[Path, int], None]


@pytest.mark.parametrize(
    ("write", "charts", "questions"),
    [(realcqa.write, 60, 300), (realcqa_shifted.write, 15, 60)],
    ids=["own", "shifted"],
)
def test_the_layout_is_realcqas(write: Write, charts: int, questions: int, tmp_path: Path) -> None:
    write(tmp_path, 0)
    stems = (tmp_path / "test_filenames.txt").read_text(encoding="utf-8").split()
    blocks = [block for stem in stems for block in json.loads((tmp_path / "qa" / f"{stem}.json").read_bytes())]
    assert len(stems) >= charts
    assert len(blocks) >= questions
    assert len({block["qa_id"] for block in blocks}) == len(blocks)
    for block in blocks:
        assert set(block) == FIELDS
        assert isinstance(block["answer"], list) == ("List" in block["answer_type"])
        with Image.open(tmp_path / "images" / f"{block['PMC_ID']}.jpg") as image:
            assert image.format == "JPEG"
    assert {block["answer_type"] for block in blocks} == {
        "String",
        "Numerical",
        "Binary",
        "Ranked List",
        "Unranked List",
    }
    assert {block["taxonomy id"][0] for block in blocks} == {"1", "2", "3", "4"}


@pytest.mark.parametrize("write", [realcqa.write, realcqa_shifted.write], ids=["own", "shifted"])
def test_a_seed_gives_the_same_bytes(write: Write, tmp_path: Path) -> None:
    for name in ("first", "again"):
        write(tmp_path / name, 3)
    first = {path.relative_to(tmp_path / "first"): path.read_bytes() for path in _files(tmp_path / "first")}
    again = {path.relative_to(tmp_path / "again"): path.read_bytes() for path in _files(tmp_path / "again")}
    assert first == again


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
