"""Read runs and datasets in full, for small ones in tests."""

import dataclasses
import html
import itertools
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings

from clients.replay.analysis.bootstrap import ClusterBootstrap
from clients.replay.analysis.columns import RunColumns, read_columns
from clients.replay.run.folder import RunFolder
from clients.replay.run.outcomes import Failed, OutcomeReader, OutcomeWriter, Scored
from clients.replay.run.record import Load, RunRecord
from clients.replay.scoring.gold import AnswerType, Gold
from clients.replay.tasks import TASKS
from clients.replay.tasks.index import SampleIndex
from clients.replay.tasks.sample import Sample, SkippedEntry, Split


@dataclass(frozen=True)
class Outcomes:
    scored: tuple[Scored, ...]
    failed: tuple[Failed, ...]
    torn: int

    @property
    def ids(self) -> Counter[str]:
        return Counter(outcome.sample_id for outcome in (*self.scored, *self.failed))


def read_outcomes(path: Path) -> Outcomes:
    """Every line of an outcomes file."""
    reader = OutcomeReader(path)
    outcomes = [outcome for _, outcome in reader]
    scored = tuple(outcome for outcome in outcomes if isinstance(outcome, Scored))
    return Outcomes(scored, tuple(outcome for outcome in outcomes if isinstance(outcome, Failed)), reader.torn)


# tests share one folder; the smallest failing example is not searched for, since whole runs are too slow
EXAMPLES = settings(
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
MEASURED = {"latency_ms", "sent_at_s", "waited_ms", "attempts", "timing", "turn"}


def outcomes_of(run: Path) -> set[str]:
    """A run's outcomes as a set, without measured times."""
    found = read_outcomes(run / "outcomes.jsonl")
    outcomes: Sequence[Scored | Failed] = (*found.scored, *found.failed)
    lines = [json.dumps(outcome.model_dump(mode="json", exclude=MEASURED), sort_keys=True) for outcome in outcomes]
    assert len(set(lines)) == len(lines), "nothing is there twice"
    return set(lines)


def full_record(**changes: object) -> RunRecord:
    """The record of a finished run, with all fields set to distinct numbers; keywords replace fields."""
    fields: dict[str, object] = {
        "task": "tallyqa",
        "data": "tallyqa",
        "selection": {"split": "test", "seed": 7, "questions": 90, "pictures": 40, "sha256": "aa"},
        "url": "http://127.0.0.1:9",
        "concurrency": 3,
        "lens": True,
        "max_patches": 64,
        "max_new_tokens": 20,
        "prompt": "{question}",
        "timeout_s": 60,
        "retries": 5,
        "server": {"id": "m", "variant": "fp32", "revision": "r1", "manifest_sha256": "ab"},
        "versions": {"python": "3"},
        "machine": {"cpu": "c", "cores": 2, "system": "s"},
        "started": "2026-01-01T10:00:00Z",
        "ended": "2026-01-01T11:00:00Z",
        "status": "finished",
    }
    return RunRecord.model_validate({**fields, **changes})


@dataclass(frozen=True)
class Loaded:
    samples: tuple[Sample, ...]
    problems: tuple[SkippedEntry, ...]


def load(task: str, data: Path, split: Split = "test") -> Loaded:
    """Everything in a split, in the order it would be asked."""
    with SampleIndex(TASKS[task].scan(data, split)) as index:
        return Loaded(tuple(index.samples()), tuple(index.problems()))


def resamples(columns: RunColumns, seed: int = 0) -> ClusterBootstrap:
    """The resamples behind a report's intervals."""
    return ClusterBootstrap(columns.pictures.codes, seed)


def columns(
    folder: Path, outcomes: Sequence[Scored | Failed], task: str = "tallyqa", load: Load | None = None
) -> RunColumns:
    """The columns of these outcomes, written to and read from a file."""
    with OutcomeWriter(folder / "outcomes.jsonl") as writer:
        for outcome in outcomes:
            writer.write(outcome)
    return read_columns(folder, TASKS[task], load)


def columns_of(path: Path) -> RunColumns:
    """The columns of a run folder."""
    record = RunFolder(path).read_record()
    return read_columns(path, TASKS[record.task], record.load)


def question(name: str, image: str, **fields: Any) -> Sample:
    """A counting question; keywords replace fields."""
    plain = Sample(name, image, f"How many {name}?", "3", AnswerType.COUNT, {"script": "Latin"})
    return dataclasses.replace(plain, **fields)


def ids(index: SampleIndex) -> list[str]:
    """The remaining questions, in the order they would be asked."""
    return [sample.id for sample in index.samples()]


_NUMBERS = itertools.count()


def answered(answer: str = "3", gold: Gold = "3", image: str = "a.png", **changes: object) -> Scored:
    """An answer to a distinct counting question; keywords replace fields."""
    fields: dict[str, object] = {
        "sample_id": f"s{next(_NUMBERS)}",
        "image": image,
        "question": "How many?",
        "gold": gold,
        "answer_type": "count",
        "latency_ms": 10.0,
        "answer": answer,
        "finish_reason": "stop",
        "usage": {"image_tokens": 1, "prompt_tokens": 2, "completion_tokens": 3},
        "timing": {"queue_ms": 1, "preprocess_ms": 2, "inference_ms": 5, "total_ms": 9},
        **changes,
    }
    return Scored.model_validate(fields)


def record_of(task: str = "tallyqa", **changes: object) -> RunRecord:
    """The record of a finished run; keywords replace fields."""
    fields: dict[str, object] = {
        "task": task,
        "data": "data",
        "selection": {"split": "test", "questions": 9, "pictures": 4, "sha256": "5e1ec7ed"},
        "url": "http://127.0.0.1:9",
        "concurrency": 2,
        "lens": False,
        "timeout_s": 60,
        "server": {"id": "org/m", "variant": "fp32", "revision": "r1", "manifest_sha256": "ab"},
        "versions": {"python": "3"},
        "machine": {"cpu": "c", "cores": 2, "system": "Linux"},
        "started": "2026-01-02T03:04:05Z",
        "ended": "2026-01-02T03:05:05Z",
        "status": "finished",
        **changes,
    }
    return RunRecord.model_validate(fields)


def write_run(folder: Path, outcomes: Sequence[Scored | Failed], record: RunRecord) -> Path:
    """A run folder with these outcomes."""
    folder.mkdir()
    (folder / "run.json").write_text(record.model_dump_json(), encoding="utf-8")
    with OutcomeWriter(folder / "outcomes.jsonl") as writer:
        for outcome in outcomes:
            writer.write(outcome)
    return folder


def failed(kind: str = "http status", sample_id: str = "f", **failure: object) -> Failed:
    """A question without an answer; keywords give the reason."""
    asked = answered(sample_id=sample_id).model_dump(exclude={"outcome"})
    return Failed.model_validate({**asked, "failure": {"kind": kind, "message": "m", **failure}})


def table_rows(page: str) -> list[list[str]]:
    """The rows of all tables of a page, as the texts of their cells."""
    rows = re.findall(r"<tr[ >].*?</tr>", page, flags=re.DOTALL)
    return [[text_of(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, flags=re.DOTALL)] for row in rows]


def text_of(part: str) -> str:
    """The text of part of a page, with normalised spaces."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", part)).split())
