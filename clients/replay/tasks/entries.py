"""Shared by the dataset readers: an entry's fields, in the forms that people write them in."""

import math
import re
from collections.abc import Callable
from typing import Final

from clients.replay.scoring.binary import read_binary
from clients.replay.scoring.gold import as_text
from clients.replay.tasks.sample import Sample, SkippedEntry, SkipReason

_UNDECODED: Final = re.compile("[\udc80-\udcff]")  # what Python makes of bytes that are not in the file's encoding


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


def holds_undecoded(text: str) -> bool:
    """Whether a text contains bytes that were not in its file's encoding."""
    return _UNDECODED.search(text) is not None


def _require_sendable(sample: Sample) -> None:
    # JSON's \\u escapes and file names can contain unpaired surrogates, which cannot be encoded
    text = "".join((sample.id, sample.image_key, sample.question, as_text(sample.gold), *sample.labels.values()))
    try:
        text.encode()
    except UnicodeEncodeError:
        undecoded = "contains bytes that are not UTF-8: save the file as UTF-8"
        detail = undecoded if holds_undecoded(text) else "contains an unpaired surrogate"
        raise EntryError(SkipReason.BROKEN_ENTRY, detail) from None


def text_field(entry: object, name: str) -> str:
    """A field of an entry as text; numbers and booleans as Python formats them.

    Raises:
        EntryError: the entry is not an object, or the field is missing, blank or of another type.
    """
    if not isinstance(entry, dict):
        raise EntryError(SkipReason.BROKEN_ENTRY, "is not an object")
    value = entry.get(name)
    if not isinstance(value, str | int | float) or not str(value).strip() or _is_no_number(value):
        raise EntryError(SkipReason.BROKEN_ENTRY, f"has no usable {name!r}")
    return str(value)


def id_field(entry: object, name: str) -> str:
    """An id as text: 7, "7", " 7" and 7.0 are the same.

    Raises:
        EntryError: as ``text_field``.
    """
    text = text_field(entry, name)
    value = entry[name] if isinstance(entry, dict) else None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else text.strip()


def label_field(entry: object, name: str) -> str | None:
    """A field that an entry need not have, as text; None if it has none."""
    try:
        return text_field(entry, name).strip()
    except EntryError:
        return None


def flag_field(entry: object, name: str) -> bool | None:
    """A flag that an entry need not have: True, 1, 1.0, "true", "yes" and their opposites; None for anything else."""
    text = label_field(entry, name)
    return None if text is None else read_binary(text)


def _is_no_number(value: str | float) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
