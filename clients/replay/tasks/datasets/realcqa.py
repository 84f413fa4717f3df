"""RealCQA on disk: ``images*/STEM.jpg``, ``qa*/STEM.json``, and ``test_filenames.txt``.

The authors' archive has ``images``, ``json`` and ``qa``; the hub's copy splits each into three (``images``,
``images2``, ``images3``). A QA file is a list of blocks ``{"taxonomy id", "QID", "question", "answer", "answer_type",
"qa_id", "PMC_ID"}``. Blocks do not name their split: the test split is the stems listed in ``test_filenames.txt``, all
others are train. The fine-tuning study has all blocks in one file, ``merged_qa.json``: ``{stem: [blocks]}``; it is read
if there are no QA folders. The chart type, if known, is in the annotation ``json*/STEM.json``.
"""

import json
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final

from clients.replay.errors import ReplayError
from clients.replay.scoring.metrics import ANLS, EXACT_AS_READ, EXACT_MATCH, RELAXED_PIX2STRUCT, RELAXED_STRICT, TYPED
from clients.replay.tasks.datasets.realcqa_answers import gold_of, type_of
from clients.replay.tasks.datasets.realcqa_files import MERGED, TEST_LIST, Charts
from clients.replay.tasks.entries import EntryError, attempt, id_field, label_field, text_field
from clients.replay.tasks.files import folder_images, read_list, require_folder, stream_object
from clients.replay.tasks.sample import Sample, SkippedEntry, SkipReason, Split
from clients.replay.tasks.task import ANSWER_TYPE, Grouping, Task

_TAXONOMY_FIELDS: Final = ("taxonomy id", "taxonomy_id")
_KINDS: Final = {"1": "structure", "2": "structure", "3": "retrieval", "4": "reasoning"}


def scan(data: Path, split: Split) -> Iterator[Sample | SkippedEntry]:
    """The questions of one split, chart by chart.

    Raises:
        ReplayError: the folder or its list of test charts is missing, or there are no question files.
    """
    require_folder(data)
    charts = Charts.of(data, split)
    if charts.questions.files:
        return chain(charts.passed_over(split), _scan_folders(charts, split))
    if charts.merged.is_file():
        return chain(charts.passed_over(split), _scan_merged(charts, split))
    message = f"{data} contains neither QA folders (qa, qa2, qa3) nor {MERGED}. Is it RealCQA's folder?"
    raise ReplayError(message)


def _scan_folders(charts: Charts, split: Split) -> Iterator[Sample | SkippedEntry]:
    files = charts.questions.files
    stems = charts.listed if split == "test" else [stem for stem in files if charts.holds(split, stem)]
    for stem in stems:
        path = files.get(stem)
        if path is None:
            yield SkippedEntry(SkipReason.MISSING_QUESTIONS, stem, f"is in {TEST_LIST}, but has no QA file")
            continue
        where = path.relative_to(charts.data).as_posix()
        try:
            blocks = read_list(path)
        except EntryError as error:
            yield SkippedEntry(error.kind, where, error.detail)
        else:
            yield from _scan_chart(blocks, stem, where, charts)


def _scan_merged(charts: Charts, split: Split) -> Iterator[Sample | SkippedEntry]:
    seen = set()
    try:
        for stem, blocks in stream_object(charts.merged):
            seen.add(stem)
            if not charts.holds(split, stem):
                continue
            if isinstance(blocks, list):
                yield from _scan_chart(blocks, stem, f"{MERGED}:{stem}", charts)
            else:
                yield SkippedEntry(SkipReason.BROKEN_ENTRY, f"{MERGED}:{stem}", "is not a list of questions")
    except EntryError as error:
        yield SkippedEntry(error.kind, MERGED, error.detail)
    if split == "test":
        for stem in [stem for stem in charts.listed if stem not in seen]:
            yield SkippedEntry(SkipReason.MISSING_QUESTIONS, stem, f"is in {TEST_LIST}, but not in {MERGED}")


def _scan_chart(blocks: list[object], stem: str, where: str, charts: Charts) -> Iterator[Sample | SkippedEntry]:
    chart_type = _chart_type(charts.annotations.files.get(stem))
    for position, block in enumerate(blocks):
        yield attempt(partial(_sample, block, stem, charts, chart_type), f"{where}#{position}")


def _sample(block: object, stem: str, charts: Charts, chart_type: str | None) -> Sample:
    qa_id, question = id_field(block, "qa_id"), text_field(block, "question")
    image = charts.images.files.get(stem)
    if image is None:
        raise EntryError(SkipReason.MISSING_IMAGE, f"no image {stem} in any images folder")
    answer_type = type_of(text_field(block, "answer_type"))
    labels = _labels(block, chart_type)
    # qa_id is guaranteed to be unique only within a chart
    key = image.relative_to(charts.data).as_posix()
    return Sample(f"{stem}/{qa_id}", key, question, gold_of(block, answer_type), answer_type, labels)


def _labels(block: object, chart_type: str | None) -> dict[str, str]:
    taxonomy = next(filter(None, (label_field(block, name) for name in _TAXONOMY_FIELDS)), None)
    labels = {"kind": _KINDS.get(taxonomy[:1], "other"), "taxonomy": taxonomy} if taxonomy else {}
    return {**labels, "chart": chart_type} if chart_type else labels


def _chart_type(annotation: Path | None) -> str | None:
    # Annotations of the CHART-Info challenge; without a usable one the chart's type is unknown.
    if annotation is None:
        return None
    try:
        name = json.loads(annotation.read_bytes())["task1"]["output"]["chart_type"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return name.strip().lower() or None if isinstance(name, str) else None


TASK: Final = Task(
    name="realcqa",
    title="RealCQA: questions about charts",
    splits=("test", "train", "all"),
    scan=scan,
    pictures=folder_images,
    headline=EXACT_MATCH,
    verdict=TYPED,
    metrics=(EXACT_MATCH, EXACT_AS_READ, RELAXED_STRICT, RELAXED_PIX2STRUCT, ANLS, TYPED),
    groupings=(
        ANSWER_TYPE,
        Grouping("kind", "By question kind", ("structure", "retrieval", "reasoning")),
        Grouping("chart", "By chart type"),
        Grouping("taxonomy", "By taxonomy id", detail=True),
    ),
    macro="answer_type",
)
