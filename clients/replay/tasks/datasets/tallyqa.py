"""TallyQA on disk: ``train.json`` or ``test.json``, each a flat list, and the image folders they refer to.

An entry is ``{"answer", "data_source", "image", "image_id", "issimple", "question", "question_id"}``; ``image`` is a
path in the data folder (``VG_100K_2/2410408.jpg``), and ``issimple`` is in the test split only. If there is no such
file, the hub's parquet files are used (``tallyqa_parquet``).
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Final

from clients.replay.errors import ReplayError
from clients.replay.scoring.counting import read_digits
from clients.replay.scoring.gold import AnswerType
from clients.replay.scoring.han import holds_han
from clients.replay.scoring.metrics import COUNT_ACCURACY, EXACT_MATCH
from clients.replay.tasks.datasets import tallyqa_parquet as parquet
from clients.replay.tasks.entries import EntryError, attempt, flag_field, id_field, label_field, text_field
from clients.replay.tasks.files import file_of, folder_images, require_folder, stream_list
from clients.replay.tasks.sample import Sample, SkippedEntry, SkipReason, Split
from clients.replay.tasks.task import Grouping, ImageSource, Task

_SIMPLE_FIELDS: Final = ("issimple", "is_simple")  # the authors' name, and the hub's


def scan(data: Path, split: Split) -> Iterator[Sample | SkippedEntry]:
    """The questions of one split, in the order of its file.

    Raises:
        ReplayError: the folder or the split's file is missing, or the file is not a JSON list.
    """
    require_folder(data)
    path = file_of(data, f"{split}.json")
    if path.is_file():
        return _scan_list(path, data)
    shards = parquet.shards(data, split)
    if shards.files:
        return chain(shards.problems(data), _scan_parquet(shards.files.values(), data))
    message = (
        f"{data} contains neither {path.name} nor parquet files of that split. TallyQA's folder has one or the other."
    )
    raise ReplayError(message)


def pictures(data: Path) -> ImageSource:
    """The images of a data folder: files, or rows of its parquet files."""
    file, row = folder_images(data), parquet.pictures(data)
    return lambda key: row(key) if parquet.is_row(key) else file(key)


def _scan_list(path: Path, data: Path) -> Iterator[Sample | SkippedEntry]:
    fault, position = cache(_fault), 0  # an image has several questions
    try:
        for entry in stream_list(path):
            yield attempt(partial(_sample, entry, data, fault), f"{path.name}#{position}")
            position += 1
    except EntryError as error:
        if not position:
            message = f"{path} {error.detail}. TallyQA's folder contains train.json and test.json."
            raise ReplayError(message) from error
        yield SkippedEntry(error.kind, f"{path.name}#{position}", error.detail)


def _sample(entry: object, data: Path, fault: Callable[[Path], str | None]) -> Sample:
    key = PurePosixPath(text_field(entry, "image").strip().replace("\\", "/"))
    if key.is_absolute() or ".." in key.parts:
        raise EntryError(SkipReason.BROKEN_ENTRY, f"'image' {key} points outside the data folder")
    if problem := fault(data / key):
        raise EntryError(SkipReason.MISSING_IMAGE, f"{problem} {key}")
    return _counting(entry, id_field(entry, "question_id"), str(key))


def _fault(image: Path) -> str | None:
    try:
        return None if image.is_file() else "no image"
    except OSError as error:  # no permission; a name too long
        return f"{error.strerror}: image"


def _scan_parquet(shards: Iterable[Path], data: Path) -> Iterator[Sample | SkippedEntry]:
    for row in parquet.rows(shards, data):
        if isinstance(row, SkippedEntry):
            yield row
            continue
        for position, entry in enumerate(row.entries):
            where = f"{row.key}/{position}"
            yield attempt(partial(_counting, entry, where, row.key), where)


def _counting(entry: object, question_id: str, key: str) -> Sample:
    question = text_field(entry, "question")
    return Sample(
        id=question_id,
        image_key=key,
        question=question,
        gold=_count(text_field(entry, "answer")),
        answer_type=AnswerType.COUNT,
        labels=_labels(entry, question),
    )


def _count(answer: str) -> str:
    count = read_digits(answer)
    if count is None:
        raise EntryError(SkipReason.UNKNOWN_ANSWER_TYPE, f"answer {answer!r} is not a count")
    return str(count)


def _labels(entry: object, question: str) -> dict[str, str]:
    labels = {"script": "Han" if holds_han(question) else "Latin"}
    flags = (flag_field(entry, name) for name in _SIMPLE_FIELDS)
    simple = next((flag for flag in flags if flag is not None), None)
    if simple is not None:
        labels["complexity"] = "simple" if simple else "complex"
    source = label_field(entry, "data_source")
    if source is not None:
        labels["source"] = source
    return labels


TASK: Final = Task(
    name="tallyqa",
    title="TallyQA: counting in images",
    splits=("test", "train"),
    scan=scan,
    pictures=pictures,
    headline=COUNT_ACCURACY,
    verdict=COUNT_ACCURACY,
    metrics=(COUNT_ACCURACY, EXACT_MATCH),
    groupings=(
        Grouping("gold", "By count"),
        Grouping("complexity", "Simple and complex", ("simple", "complex")),
        Grouping("script", "By script of the question"),
        Grouping("source", "By source", detail=True),
    ),
)
