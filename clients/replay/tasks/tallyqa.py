"""TallyQA as it lies on disk: ``train.json`` or ``test.json``, a flat list, and the picture folders it names.

An entry is ``{"answer", "data_source", "image", "image_id", "issimple", "question", "question_id"}``; ``image`` is a
path in the data folder (``VG_100K_2/2410408.jpg``), and ``issimple`` stands in the test split only.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Final

from clients.replay.errors import ReplayError
from clients.replay.gold import AnswerType
from clients.replay.han import holds_han
from clients.replay.scoring.metrics import COUNT_ACCURACY, EXACT_MATCH
from clients.replay.tasks.collect import Collector, EntryError, read_list, require_folder, text_field
from clients.replay.tasks.sample import Loaded, ProblemKind, Sample, Split
from clients.replay.tasks.task import Grouping, Task


def load(data: Path, split: Split) -> Loaded:
    """The questions of one split, in the order of its file.

    Raises:
        ReplayError: the folder or the split's file is missing, or no JSON list.
    """
    require_folder(data)
    collector, is_file = Collector(), cache(Path.is_file)  # a picture has several questions
    for position, entry in enumerate(_entries(data / f"{split}.json")):
        try:
            collector.add(_sample(entry, data, is_file))
        except EntryError as error:
            collector.note(f"{split}.json#{position}", error)
    return collector.loaded()


def _entries(path: Path) -> list[object]:
    try:
        return read_list(path)
    except EntryError as error:
        message = f"{path} {error.detail}. TallyQA's folder holds train.json and test.json."
        raise ReplayError(message) from error


def _sample(entry: object, data: Path, is_file: Callable[[Path], bool]) -> Sample:
    key = PurePosixPath(text_field(entry, "image"))
    if key.is_absolute() or ".." in key.parts:
        raise EntryError(ProblemKind.BROKEN_ENTRY, f"'image' {key} leads out of the data folder")
    if not is_file(data / key):
        raise EntryError(ProblemKind.MISSING_IMAGE, f"no picture {key}")
    question = text_field(entry, "question")
    return Sample(
        id=text_field(entry, "question_id"),
        image=data / key,
        image_key=str(key),
        question=question,
        gold=_count(text_field(entry, "answer")),
        answer_type=AnswerType.COUNT,
        labels=_labels(entry, question),
    )


def _count(answer: str) -> str:
    try:
        return str(int(answer))
    except ValueError:
        raise EntryError(ProblemKind.UNKNOWN_ANSWER_TYPE, f"answer {answer!r} is not a whole number") from None


def _labels(entry: object, question: str) -> dict[str, str]:
    labels = {"script": "Han" if holds_han(question) else "Latin"}
    if isinstance(entry, dict) and isinstance(entry.get("issimple"), bool):
        labels["complexity"] = "simple" if entry["issimple"] else "complex"
    if isinstance(entry, dict) and isinstance(entry.get("data_source"), str):
        labels["source"] = entry["data_source"]
    return labels


TASK: Final = Task(
    name="tallyqa",
    title="TallyQA: counting in pictures",
    load=load,
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
