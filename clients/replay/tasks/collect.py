"""What every loader needs: read JSON, and keep what fits apart from what does not."""

import json
from pathlib import Path

from clients.replay.errors import ReplayError
from clients.replay.gold import as_text
from clients.replay.tasks.sample import Loaded, Problem, ProblemKind, Sample


class EntryError(Exception):
    """An entry that cannot become a sample; the collector keeps it as a problem."""

    def __init__(self, kind: ProblemKind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


class Collector:
    """Gathers samples and problems while a data folder is read; a second sample of one id is a problem."""

    def __init__(self) -> None:
        self._samples: dict[str, Sample] = {}
        self._problems: list[Problem] = []

    def add(self, sample: Sample) -> None:
        """Keep a sample, unless its id is taken or it cannot be sent."""
        if not _is_sendable(sample):
            self.note(ascii(sample.id), EntryError(ProblemKind.BROKEN_ENTRY, "holds half a surrogate pair"))
        elif self._samples.setdefault(sample.id, sample) is not sample:
            self.note(sample.id, EntryError(ProblemKind.DUPLICATE_ID, "an earlier question has this id"))

    def note(self, where: str, error: EntryError) -> None:
        """Keep a problem."""
        self._problems.append(Problem(error.kind, where, error.detail))

    def loaded(self) -> Loaded:
        """Everything gathered so far."""
        return Loaded(tuple(self._samples.values()), tuple(self._problems))


def read_list(path: Path) -> list[object]:
    """The JSON list in a file.

    Raises:
        EntryError: the file cannot be read, is not JSON, or holds something else.
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise EntryError(ProblemKind.BROKEN_FILE, f"cannot be read as JSON: {error}") from error
    if not isinstance(content, list):
        raise EntryError(ProblemKind.BROKEN_FILE, "is not a list of questions")
    return content


def _is_sendable(sample: Sample) -> bool:
    # JSON's \\u escapes, and file names, can hold half a surrogate pair, which no encoder takes
    texts = (sample.id, sample.image_key, sample.question, as_text(sample.gold), *sample.labels.values())
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return False
    return True


def text_field(entry: object, name: str) -> str:
    """A field of an entry as text; numbers and truth values as Python writes them.

    Raises:
        EntryError: the entry is no object, lacks the field, or holds something else or nothing in it.
    """
    if not isinstance(entry, dict):
        raise EntryError(ProblemKind.BROKEN_ENTRY, "is not an object")
    value = entry.get(name)
    if not isinstance(value, str | int | float) or not str(value).strip():
        raise EntryError(ProblemKind.BROKEN_ENTRY, f"has no usable {name!r}")
    return str(value)


def require_folder(data: Path) -> None:
    """Refuse a data folder that is not there.

    Raises:
        ReplayError: it is missing, or not a folder.
    """
    if not data.is_dir():
        message = f"{data} is not a folder. Name the data set's own folder with --data."
        raise ReplayError(message)
