"""The files of a dataset: folders as people unpack them, and text and JSON in the encodings that they come in."""

import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, TypeVar

from clients.replay.errors import ReplayError
from clients.replay.tasks import json_stream
from clients.replay.tasks.entries import EntryError, holds_undecoded
from clients.replay.tasks.sample import SkippedEntry, SkipReason
from clients.replay.tasks.task import ImageSource

_Item = TypeVar("_Item")


def require_folder(data: Path) -> None:
    """Require the data folder to exist and to be readable.

    Raises:
        ReplayError: it is missing, not a folder, or may not be read.
    """
    if not data.is_dir():
        message = f"{data} is not a folder. Give the dataset's folder with --data."
        raise ReplayError(message)
    if not os.access(data, os.R_OK | os.X_OK):
        message = f"{data} cannot be read: this user has no permission to."
        raise ReplayError(message)


def folder_images(data: Path) -> ImageSource:
    """Images stored as files in the data folder; the key is the path relative to it."""
    return lambda key: (data / key).read_bytes()


def folders_of(data: Path, prefix: str) -> list[Path]:
    """The folders whose names begin so, in whatever case, by name."""
    return sorted(path for path in data.iterdir() if path.name.lower().startswith(prefix) and path.is_dir())


def file_of(data: Path, name: str) -> Path:
    """The path of a file, under its name in capitals if that is how it is there."""
    path = data / name
    return path if path.is_file() else next((file for file in files_in(data) if file.name.lower() == name), path)


def files_in(folder: Path) -> list[Path]:
    """The files of a folder by name, without hidden ones (``._x``, ``.DS_Store``), folders and broken links.

    Raises:
        ReplayError: the folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.name[0] != "." and _is_file(entry))
    except OSError as error:
        message = f"{folder} cannot be read: {error.strerror}."
        raise ReplayError(message) from error


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link in a circle, say: whoever needs the file finds it missing
        return False


@dataclass(frozen=True, slots=True)
class Chosen:
    """One file per name: of several, the last counts. ``passed_over`` are the others, each with its name."""

    files: Mapping[str, Path]
    passed_over: tuple[tuple[str, Path], ...]

    @classmethod
    def of(cls, paths: Iterable[Path], name: Callable[[Path], str]) -> "Chosen":
        """Choose among the paths, which are in order."""
        files, passed_over = dict[str, Path](), []
        for path in paths:
            key = name(path)
            if key in files:
                passed_over.append((key, files[key]))
            files[key] = path
        return cls(files, tuple(passed_over))

    def problems(self, data: Path, wanted: Callable[[str], bool] = lambda _: True) -> Iterator[SkippedEntry]:
        """The files passed over, of the names that are wanted."""
        for key, path in self.passed_over:
            if wanted(key):
                used = self.files[key].relative_to(data).as_posix()
                where = path.relative_to(data).as_posix()
                yield SkippedEntry(SkipReason.DUPLICATE_FILE, where, f"{used} is used, the last of this name")


def read_lines(path: Path) -> list[str]:
    """The lines of a text file.

    Raises:
        EntryError: the file cannot be read, or is not text.
    """
    with _text(path) as file:
        lines = file.read().splitlines()
    for number, line in enumerate(lines, start=1):
        if holds_undecoded(line):
            raise EntryError(SkipReason.BROKEN_FILE, f"is not UTF-8 in line {number}: save it as UTF-8")
    return lines


def read_list(path: Path) -> list[object]:
    """The JSON list in a small file.

    Raises:
        EntryError: the file cannot be read, is not JSON, or is not a list.
    """
    return list(stream_list(path))


def stream_list(path: Path) -> Iterator[object]:
    """Stream the entries of a JSON list in a file of any size.

    Raises:
        EntryError: the file cannot be read or is not a list; or it is broken, after yielding the entries before.
    """
    return _stream(path, json_stream.items)


def stream_object(path: Path) -> Iterator[tuple[str, object]]:
    """Stream the fields of a JSON object in a file of any size.

    Raises:
        EntryError: as ``stream_list``, for an object.
    """
    return _stream(path, json_stream.fields)


def _stream(path: Path, parse: Callable[[TextIO], Iterator[_Item]]) -> Iterator[_Item]:
    with _text(path) as file:
        try:
            yield from parse(file)
        except json_stream.BrokenJSONError as error:
            detail = f"cannot be read as JSON from line {error.line} on: {error}"
            raise EntryError(SkipReason.BROKEN_FILE, detail) from error


@contextmanager
def _text(path: Path) -> Iterator[TextIO]:
    """Open a text file in the encoding that its first bytes tell; what is not in it becomes lone surrogates.

    So a byte that is not UTF-8 costs only the entry that it stands in.
    """
    try:
        with path.open("rb") as raw:
            encoding = json.detect_encoding(raw.peek(4)[:4])
            with io.TextIOWrapper(raw, encoding, errors="surrogateescape", newline="") as text:
                yield text
    except UnicodeDecodeError as error:  # of UTF-16 and UTF-32, where no other bytes can stand for a broken one
        raise EntryError(SkipReason.BROKEN_FILE, f"is not {error.encoding.upper()}: save it as UTF-8") from error
    except OSError as error:
        raise EntryError(SkipReason.BROKEN_FILE, f"cannot be read: {error.strerror}") from error
