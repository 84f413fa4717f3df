import json
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from PIL import Image

from services.training.samples import realcqa, realcqa_shifted
from services.training.tiny_matcha.data.kinds import KINDS

FIELDS = {"taxonomy id", "QID", "question", "answer", "answer_type", "qa_id", "PMC_ID"}
COMMITTED = Path(__file__).parents[4] / "clients/samples"
Write = Callable[[Path, int], None]
Written = Callable[[Write, int], Path]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Output of the command for a seed, generated once for all tests."""

    @cache
    def folder_of(write: Write, seed: int) -> Path:
        folder = tmp_path_factory.mktemp("samples")
        write(folder, seed)
        return folder

    return folder_of


@pytest.mark.parametrize(
    ("write", "charts", "questions"),
    [(realcqa.write, 60, 300), (realcqa_shifted.write, 15, 60)],
    ids=["own", "shifted"],
)
def test_the_layout_is_realcqas(write: Write, charts: int, questions: int, written: Written) -> None:
    folder = written(write, 0)
    stems = (folder / "test_filenames.txt").read_text(encoding="utf-8").split()
    blocks = [block for stem in stems for block in json.loads((folder / "qa" / f"{stem}.json").read_bytes())]
    assert len(stems) >= charts
    assert len(blocks) >= questions
    assert len({block["qa_id"] for block in blocks}) == len(blocks)
    for stem in stems:
        of_one = json.loads((folder / "qa" / f"{stem}.json").read_bytes())
        assert {block["PMC_ID"] for block in of_one} == {stem}
        assert len({block["QID"] for block in of_one}) == len(of_one)  # each kind is asked once per chart
    for block in blocks:
        assert set(block) == FIELDS
        kind = KINDS[list(KINDS)[int(block["QID"]) - 1]]
        assert (block["taxonomy id"], block["answer_type"]) == (kind.taxonomy, kind.answer_type)
        form = {"Numerical": int, "Ranked List": list, "Unranked List": list}.get(block["answer_type"], str)
        assert type(block["answer"]) is form
        with Image.open(folder / "images" / f"{block['PMC_ID']}.jpg") as image:
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
def test_a_seed_gives_the_same_bytes_and_another_others(write: Write, written: Written, tmp_path: Path) -> None:
    write(tmp_path, 0)
    first, again, other = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (written(write, 0), tmp_path, written(write, 4))
    )
    assert first == again
    assert set(first) == set(other)
    assert not [path for path in first if path.suffix == ".json" and first[path] == other[path]]


@pytest.mark.parametrize(
    ("write", "name"),
    [(realcqa.write, "realcqa"), (realcqa_shifted.write, "realcqa-shifted")],
    ids=["own", "shifted"],
)
def test_the_committed_questions_are_what_the_command_writes(write: Write, name: str, written: Written) -> None:
    folder = written(write, 0)
    for path in (*sorted(folder.glob("qa/*.json")), folder / "test_filenames.txt"):
        assert (COMMITTED / name / path.relative_to(folder)).read_bytes() == path.read_bytes()
    committed, drawn = ({path.name for path in (each / "images").iterdir()} for each in (COMMITTED / name, folder))
    assert committed == drawn


def test_every_kind_comes_up_about_equally_often(written: Written) -> None:
    blocks = [block for path in written(realcqa.write, 0).glob("qa/*.json") for block in json.loads(path.read_bytes())]
    asked = Counter(block["QID"] for block in blocks)
    assert len(asked) == len(KINDS)
    assert max(asked.values()) <= 1.5 * min(asked.values())
