"""Shared by the dataset readers: streaming JSON, field access, and images in folders."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TypeVar

import ijson

from clients.replay.errors import ReplayError
from clients.replay.scoring.gold import as_text
from clients.replay.tasks.sample import Sample, SkippedEntry, SkipReason
from clients.replay.tasks.task import ImageSource

_Item = TypeVar("_Item")


class EntryError(Exception):
    """An entry that cannot become a sample; ``attempt`` turns it into a ``SkippedEntry``."""

    def __init__(self, kind: SkipReason, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


def attempt(read: Callable[[], Sample], where: str) -> Sample | SkippedEntry:
    """Read a sample, or describe the problem with the entry at ``where``."""
    try:
        sample = read()
        _require_sendable(sample)
    except EntryError as error:
        return SkippedEntry(error.kind, where, error.detail)
    return sample


def _require_sendable(sample: Sample) -> None:
    # JSON's \\u escapes and file names can contain unpaired surrogates, which cannot be encoded
    texts = (sample.id, sample.image_key, sample.question, as_text(sample.gold), *sample.labels.values())
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        raise EntryError(SkipReason.BROKEN_ENTRY, "contains an unpaired surrogate") from None


def read_list(path: Path) -> list[object]:
    """Read the JSON list in a small file.

    Raises:
        EntryError: the file cannot be read, is not JSON, or is not a list.
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise EntryError(SkipReason.BROKEN_FILE, f"cannot be read as JSON: {error}") from error
    if not isinstance(content, list):
        raise EntryError(SkipReason.BROKEN_FILE, "is not a list of questions")
    return content


def stream_list(path: Path) -> Iterator[object]:
    """Stream the entries of a JSON list in a file of any size.

    Raises:
        EntryError: the file cannot be read or is not a list; or it is truncated, after yielding the entries before.
    """
    return _stream(path, b"[", lambda file: ijson.items(file, "item", use_float=True))


def stream_object(path: Path) -> Iterator[tuple[str, object]]:
    """Stream the fields of a JSON object in a file of any size.

    Raises:
        EntryError: as ``stream_list``, for an object.
    """
    return _stream(path, b"{", lambda file: ijson.kvitems(file, "", use_float=True))


def _stream(path: Path, opening: bytes, parse: Callable[[IO[bytes]], Iterator[_Item]]) -> Iterator[_Item]:
    try:
        with path.open("rb") as file:
            if not file.read(4096).lstrip().startswith(opening):
                raise EntryError(SkipReason.BROKEN_FILE, f"does not begin with {opening.decode()!r}")
            file.seek(0)
            yield from parse(file)
    except OSError as error:
        raise EntryError(SkipReason.BROKEN_FILE, f"cannot be read: {error.strerror}") from error
    except ijson.JSONError as error:
        detail = " ".join(str(error).split()[:12])
        raise EntryError(SkipReason.BROKEN_FILE, f"cannot be read as JSON from here on: {detail}") from error


def text_field(entry: object, name: str) -> str:
    """A field of an entry as text; numbers and booleans as Python formats them.

    Raises:
        EntryError: the entry is not an object, or the field is missing, blank or of another type.
    """
    if not isinstance(entry, dict):
        raise EntryError(SkipReason.BROKEN_ENTRY, "is not an object")
    value = entry.get(name)
    if not isinstance(value, str | int | float) or not str(value).strip():
        raise EntryError(SkipReason.BROKEN_ENTRY, f"has no usable {name!r}")
    return str(value)


def require_folder(data: Path) -> None:
    """Require the data folder to exist.

    Raises:
        ReplayError: it is missing, or not a folder.
    """
    if not data.is_dir():
        message = f"{data} is not a folder. Give the dataset's folder with --data."
        raise ReplayError(message)


def folder_images(data: Path) -> ImageSource:
    """Images stored as files in the data folder; the key is the path relative to it."""
    return lambda key: (data / key).read_bytes()
