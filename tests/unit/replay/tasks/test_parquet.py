"""TallyQA from the hub: rows of parquet files, their questions and their images."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clients.replay.tasks import TASKS
from tests.unit.replay.conftest import png
from tests.unit.replay.reading import columns_of, load, read_outcomes

Make = Callable[..., Any]

IMAGES = [png((9, 9, number)) for number in range(5)]


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    """TallyQA from the hub: two files, one image with its questions per row, row groups of two."""
    data = tmp_path / "tallyqa-test"
    (data / "data").mkdir(parents=True)
    rows = [
        {
            "image": {"bytes": image, "path": None},
            "qa": [
                {"question": f"How many {number}?", "answer": "3", "is_simple": True, "data_source": "amt"},
                {
                    "question": f"And {number}?",
                    "answer": "0" if number else "some",
                    "is_simple": False,
                    "data_source": None,
                },
            ],
        }
        for number, image in enumerate(IMAGES)
    ]
    for number, own in enumerate((rows[:3], rows[3:])):
        path = data / "data" / f"test-{number:05d}-of-00002.parquet"
        pq.write_table(pa.Table.from_pylist(own), path, row_group_size=2)
    return data


def test_the_hub_s_parquet_files_are_read_row_by_row(parquet: Path) -> None:
    loaded = load("tallyqa", parquet)
    first = "data/test-00000-of-00002.parquet"
    assert [sample.id for sample in loaded.samples[:3]] == [f"{first}#0/0", f"{first}#1/0", f"{first}#1/1"]
    assert len(loaded.samples) == 9
    assert loaded.samples[0].labels == {"script": "Latin", "complexity": "simple", "source": "amt"}
    assert loaded.samples[2].labels == {"script": "Latin", "complexity": "complex"}
    assert [(problem.kind.value, problem.where) for problem in loaded.problems] == [
        ("unknown answer type", f"{first}#0/1")
    ]


def test_every_row_s_own_image_is_sent(parquet: Path, do_run: Make, tmp_path: Path) -> None:
    read = TASKS["tallyqa"].pictures(parquet)
    keys = [f"data/test-0000{row // 3}-of-00002.parquet#{row % 3}" for row in range(5)]
    assert [read(key) for key in keys] == IMAGES
    assert do_run("tallyqa", parquet).answered == 9
    assert {path.suffix for path in (tmp_path / "run" / "pictures").iterdir()} == {".webp"}
    assert columns_of(tmp_path / "run").shown.all()


def test_a_file_s_name_may_hold_the_sign_before_the_row(parquet: Path) -> None:
    (parquet / "data" / "test-00001-of-00002.parquet").rename(parquet / "test-#1.parquet")
    last = load("tallyqa", parquet).samples[-1]
    assert last.image_key == "test-#1.parquet#1"
    assert TASKS["tallyqa"].pictures(parquet)(last.image_key) == IMAGES[4]


def test_a_parquet_file_that_is_none_is_named_and_the_others_are_read(parquet: Path) -> None:
    (parquet / "data" / "test-00000-of-00002.parquet").write_bytes(b"PAR1 and nothing")
    loaded = load("tallyqa", parquet)
    assert len(loaded.samples) == 4
    assert [problem.kind.value for problem in loaded.problems] == ["broken file"]


def test_a_row_without_an_image_is_a_failure_not_a_crash(parquet: Path, do_run: Make, tmp_path: Path) -> None:
    path = parquet / "data" / "test-00001-of-00002.parquet"
    rows = pq.read_table(path).to_pylist()
    rows[0]["image"] = {"bytes": None, "path": None}
    pq.write_table(pa.Table.from_pylist(rows), path)
    assert do_run("tallyqa", parquet).failed == 2
    outcomes = read_outcomes(tmp_path / "run" / "outcomes.jsonl")
    assert {outcome.failure.kind.value for outcome in outcomes.failed} == {"picture"}


def test_rows_are_counted_on_from_batch_to_batch_and_one_without_questions_is_passed(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"image": {"bytes": bytes([row]), "path": None}, "qa": [{"question": f"{row}?", "answer": row % 16}]}
        for row in range(150)
    ]
    rows[2]["qa"] = None
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "test-00000-of-00001.parquet", row_group_size=40)
    pq.write_table(pa.Table.from_pylist(rows[:3]), tmp_path / "train-00000-of-00001.parquet")
    samples, read = load("tallyqa", tmp_path).samples, TASKS["tallyqa"].pictures(tmp_path)
    assert [int(sample.question[:-1]) for sample in samples] == [row for row in range(150) if row != 2]
    assert all(read(sample.image_key) == bytes([int(sample.question[:-1])]) for sample in samples)
    assert {sample.id for sample in samples} == {f"{sample.image_key}/0" for sample in samples}


def test_the_images_of_both_layouts_in_one_folder_are_each_its_own(parquet: Path) -> None:
    (parquet / "VG_100K").mkdir()
    (parquet / "VG_100K" / "1.png").write_bytes(b"a file")
    entry = {"image": "VG_100K/1.png", "question": "How many?", "question_id": 1, "answer": 2}
    (parquet / "train.json").write_text(json.dumps([entry]))
    (train,), test = load("tallyqa", parquet, "train").samples, load("tallyqa", parquet).samples
    read = TASKS["tallyqa"].pictures(parquet)
    assert (read(train.image_key), read(test[0].image_key)) == (b"a file", IMAGES[0])


@pytest.mark.parametrize(
    "row", ["data/test-00000-of-00002.parquet#7", "data/test-00009-of-00002.parquet#0", "x.parquet#b"]
)
def test_a_row_that_is_not_there_is_an_image_that_cannot_be_read(parquet: Path, row: str) -> None:
    with pytest.raises(OSError, match=r"row|No such file"):
        TASKS["tallyqa"].pictures(parquet)(row)


@pytest.mark.slow
def test_without_pyarrow_the_message_says_what_to_install(parquet: Path) -> None:
    script = (
        "import sys; sys.modules['pyarrow'] = sys.modules['pyarrow.parquet'] = None\n"
        "from pathlib import Path\n"
        "from clients.replay.errors import ReplayError\n"
        "from clients.replay.tasks import TASKS\n"
        "try: list(TASKS['tallyqa'].scan(Path(sys.argv[1]), 'test'))\n"
        "except ReplayError as error: print(error)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(parquet)], capture_output=True, text=True, check=True)
    assert "replay-parquet" in ended.stdout
