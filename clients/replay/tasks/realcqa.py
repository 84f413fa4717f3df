"""RealCQA as it lies on disk: ``images*/STEM.jpg``, ``qa*/STEM.json``, and ``test_filenames.txt``.

A QA file is a list of blocks ``{"taxonomy id", "QID", "question", "answer", "answer_type", "qa_id", "PMC_ID"}``. No
block says which split it is in: the test split is the stems listed in ``test_filenames.txt``, all others are train.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from clients.replay.errors import ReplayError
from clients.replay.gold import AnswerType, Gold
from clients.replay.scoring.lists import split as split_list
from clients.replay.scoring.metrics import ANLS, EXACT_MATCH, RELAXED_PIX2STRUCT, RELAXED_STRICT, TYPED
from clients.replay.tasks.collect import Collector, EntryError, read_list, require_folder, text_field
from clients.replay.tasks.sample import Loaded, ProblemKind, Sample, Split
from clients.replay.tasks.task import ANSWER_TYPE, Grouping, Task

TEST_LIST: Final = "test_filenames.txt"
_IMAGE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png"})
_TYPES: Final = {
    "string": AnswerType.STRING,
    "numerical": AnswerType.NUMERICAL,
    "binary": AnswerType.BINARY,
    "ranked list": AnswerType.RANKED_LIST,
    "unranked list": AnswerType.UNRANKED_LIST,
}
_LISTS: Final = frozenset({AnswerType.RANKED_LIST, AnswerType.UNRANKED_LIST})
_KINDS: Final = {"1": "structure", "2": "structure", "3": "retrieval", "4": "reasoning"}


def load(data: Path, split: Split) -> Loaded:
    """The questions of one split, chart by chart.

    Raises:
        ReplayError: the folder or its list of test charts is missing.
    """
    require_folder(data)
    collector, images = Collector(), _images(data)
    for stem, path in _qa_files(data, split):
        if path is None:
            collector.note(stem, EntryError(ProblemKind.MISSING_QUESTIONS, f"is in {TEST_LIST}, but has no QA file"))
        else:
            _load_chart(path, data, images, collector)
    return collector.loaded()


def _images(data: Path) -> Mapping[str, Path]:
    folders = sorted(folder for folder in data.glob("images*") if folder.is_dir())
    return {path.stem: path for folder in folders for path in folder.iterdir() if path.suffix in _IMAGE_SUFFIXES}


def _qa_files(data: Path, split: Split) -> Iterator[tuple[str, Path | None]]:
    folders = sorted(folder for folder in data.glob("qa*") if folder.is_dir())
    files = {path.stem: path for folder in folders for path in sorted(folder.glob("*.json"))}
    listed = _test_stems(data)
    if split == "test":
        return ((stem, files.get(stem)) for stem in listed)
    return ((stem, path) for stem, path in files.items() if stem not in listed)


def _test_stems(data: Path) -> Mapping[str, None]:
    try:
        lines = (data / TEST_LIST).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        message = f"{data} has no readable {TEST_LIST}, which tells the test charts: {error}. Is it RealCQA's folder?"
        raise ReplayError(message) from error
    return dict.fromkeys(line.strip() for line in lines if line.strip())


def _load_chart(path: Path, data: Path, images: Mapping[str, Path], collector: Collector) -> None:
    where = path.relative_to(data).as_posix()
    try:
        blocks = read_list(path)
    except EntryError as error:
        collector.note(where, error)
        return
    for position, block in enumerate(blocks):
        try:
            collector.add(_sample(block, path.stem, data, images))
        except EntryError as error:
            collector.note(f"{where}#{position}", error)


def _sample(block: object, stem: str, data: Path, images: Mapping[str, Path]) -> Sample:
    qa_id, question = text_field(block, "qa_id"), text_field(block, "question")
    image = images.get(stem)
    if image is None:
        raise EntryError(ProblemKind.MISSING_IMAGE, f"no picture {stem} in any images folder")
    taxonomy = text_field(block, "taxonomy id")
    answer_type = _answer_type(text_field(block, "answer_type"))
    labels = {"kind": _KINDS.get(taxonomy[:1], "other"), "taxonomy": taxonomy}
    # qa_id is only promised to be unique within a chart
    key = image.relative_to(data).as_posix()
    return Sample(f"{stem}/{qa_id}", image, key, question, _gold(block, answer_type), answer_type, labels)


def _answer_type(name: str) -> AnswerType:
    try:
        return _TYPES[name.strip().lower()]
    except KeyError:
        raise EntryError(ProblemKind.UNKNOWN_ANSWER_TYPE, f"answer_type {name!r}") from None


def _gold(block: object, answer_type: AnswerType) -> Gold:
    answer = block["answer"] if isinstance(block, dict) and isinstance(block.get("answer"), list) else None
    if answer_type not in _LISTS:
        # a single value is sometimes wrapped in a list of one
        return text_field({"answer": answer[0]} if answer and len(answer) == 1 else block, "answer")
    items = _items(answer) if answer is not None else _written_items(text_field(block, "answer"))
    if not items:
        raise EntryError(ProblemKind.BROKEN_ENTRY, "has an empty list as 'answer'")
    return items


def _items(answer: list[object]) -> tuple[str, ...]:
    if len(answer) == 1 and isinstance(answer[0], list):  # nested once too often in some blocks
        answer = answer[0]
    return tuple(text_field({"answer": item}, "answer").strip() for item in answer)


def _written_items(text: str) -> tuple[str, ...]:
    # lists are also found as the text of a Python literal
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return split_list(text)
    return _items(list(value)) if isinstance(value, list | tuple) else (text.strip(),)


TASK: Final = Task(
    name="realcqa",
    title="RealCQA: questions about charts",
    load=load,
    headline=EXACT_MATCH,
    verdict=TYPED,
    metrics=(EXACT_MATCH, RELAXED_STRICT, RELAXED_PIX2STRUCT, ANLS, TYPED),
    groupings=(
        ANSWER_TYPE,
        Grouping("kind", "By kind of question", ("structure", "retrieval", "reasoning")),
        Grouping("taxonomy", "By taxonomy id", detail=True),
    ),
)
