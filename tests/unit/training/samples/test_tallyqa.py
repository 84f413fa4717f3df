"""The TallyQA sample: its layout, its balance, and that the command reproduces it."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from services.training.samples import tallyqa

COMMITTED = Path(__file__).parents[4] / "clients/samples/tallyqa"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("samples") / "tallyqa"
    tallyqa.write(path, seed=0)
    return path


def rows(folder: Path, split: str) -> list[dict[str, Any]]:
    read: list[dict[str, Any]] = json.loads((folder / f"{split}.json").read_text(encoding="utf-8"))
    return read


def checksums(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_committed_files_are_what_the_command_writes(folder: Path) -> None:
    assert checksums(COMMITTED) == checksums(folder)


def test_only_the_test_split_tells_simple_from_complex(folder: Path) -> None:
    common = {"answer", "data_source", "image", "image_id", "question", "question_id"}
    assert {frozenset(row) for row in rows(folder, "train")} == {frozenset(common)}
    assert {frozenset(row) for row in rows(folder, "test")} == {frozenset(common | {"issimple"})}
    assert {row["issimple"] for row in rows(folder, "test")} == {True, False}


def test_images_lie_where_tallyqa_s_lie(folder: Path) -> None:
    pattern = re.compile(r"VG_100K(_2)?/\d+\.jpg|(train|val)2014/COCO_(train|val)2014_\d{12}\.jpg")
    for split in ("train", "test"):
        for row in rows(folder, split):
            assert pattern.fullmatch(row["image"])
            with Image.open(folder / row["image"]) as image:
                assert (image.format, image.mode) == ("JPEG", "RGB")
    assert {row["image"].split("/")[0] for row in rows(folder, "test")} == {"VG_100K", "VG_100K_2"}
    assert {"train2014", "val2014"} < {row["image"].split("/")[0] for row in rows(folder, "train")}


def test_a_visual_genome_image_is_numbered_with_a_nine_in_front(folder: Path) -> None:
    for row in rows(folder, "test"):
        assert row["image_id"] == int("9" + Path(row["image"]).stem)


def test_the_test_split_is_large_enough_and_asks_several_questions_an_image(folder: Path) -> None:
    test = rows(folder, "test")
    images = {row["image"] for row in test}
    assert len(images) >= 100
    assert len(test) >= 2 * len(images)
    assert len({row["question_id"] for row in test}) == len(test)
    assert {row["answer"] for row in test} == set(range(6))


def test_no_image_is_in_both_splits(folder: Path) -> None:
    assert not {row["image"] for row in rows(folder, "train")} & {row["image"] for row in rows(folder, "test")}
