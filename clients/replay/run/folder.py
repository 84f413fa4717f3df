"""The run folder: its layout, and how it is written so that a kill never leaves a half-written file.

::

    RUN/
    ├── run.json          what was asked, of which service, with which options, on which machine
    ├── problems.jsonl    every entry of the dataset that cannot be asked, if there are any
    ├── outcomes.jsonl    one line per question, in the order the answers arrived
    └── pictures/         small copies of some images, for the examples in reports
"""

import codecs
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from clients.replay.errors import ReplayError
from clients.replay.run.record import RunRecord
from clients.replay.tasks.sample import SkippedEntry, SkipReason

NAMED_PROBLEMS: Final = 20  # of each kind, in run.json

_NAME_DIGITS: Final = 16


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths of one run."""

    path: Path

    @property
    def record(self) -> Path:
        """``run.json``."""
        return self.path / "run.json"

    @property
    def problems(self) -> Path:
        """``problems.jsonl``."""
        return self.path / "problems.jsonl"

    @property
    def outcomes(self) -> Path:
        """``outcomes.jsonl``."""
        return self.path / "outcomes.jsonl"

    @property
    def pictures(self) -> Path:
        """The folder of kept images."""
        return self.path / "pictures"

    def require_free(self) -> None:
        """Refuse a folder that contains a run: two runs in one file could not be separated.

        Raises:
            ReplayError: the folder contains a run.
        """
        if self.outcomes.exists() or self.record.exists():
            message = f"{self.path} already contains a run. Use --resume, or choose another folder with --out."
            raise ReplayError(message)

    def create(self) -> None:
        """Create the folder and its image folder.

        Raises:
            ReplayError: it cannot be created.
        """
        try:
            self.pictures.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"{self.path} cannot be created: {error.strerror}. Choose another folder with --out."
            raise ReplayError(message) from error

    def write_problems(self, problems: Iterable[SkippedEntry]) -> tuple[tuple[SkippedEntry, ...], dict[str, int]]:
        """Write ``problems.jsonl`` if there are any problems; return the first few and the count of each kind.

        Raises:
            ReplayError: it cannot be written.
        """
        counts, named = Counter[SkipReason](), list[SkippedEntry]()
        draft = self.problems.with_suffix(".jsonl.part")
        try:
            with draft.open("w", encoding="utf-8") as file:
                for problem in problems:
                    counts[problem.kind] += 1
                    if counts[problem.kind] <= NAMED_PROBLEMS:
                        named.append(problem)
                    file.write(json.dumps(asdict(problem), ensure_ascii=False) + "\n")
            draft.replace(self.problems) if counts else draft.unlink()
        except OSError as error:
            message = f"{self.problems} cannot be written: {error.strerror}."
            raise ReplayError(message) from error
        return tuple(named), {kind.value: count for kind, count in counts.items()}

    def write_record(self, record: RunRecord) -> None:
        """Write ``run.json`` atomically.

        Raises:
            ReplayError: it cannot be written.
        """
        draft = self.record.with_suffix(".json.part")
        try:
            draft.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
            draft.replace(self.record)
        except OSError as error:
            message = f"{self.record} cannot be written: {error.strerror}."
            raise ReplayError(message) from error

    def read_record(self) -> RunRecord:
        """Read ``run.json``.

        Raises:
            ReplayError: there is none, or it is not valid.
        """
        try:
            return RunRecord.model_validate_json(self.record.read_bytes().removeprefix(codecs.BOM_UTF8))
        except OSError as error:
            message = (
                f"{self.path} is not a run folder ({error.strerror}: {self.record.name}). Use folders made by `run`."
            )
            raise ReplayError(message) from error
        except ValidationError as error:
            message = f"{self.record} is not a run record: {error.errors()[0]['msg']}."
            raise ReplayError(message) from error


def kept_path(folder: Path, sha256: str) -> Path:
    """Path of a kept image."""
    return folder / f"{sha256[:_NAME_DIGITS]}.webp"
