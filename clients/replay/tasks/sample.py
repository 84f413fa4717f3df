"""A question of a dataset, and why an entry cannot be asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from clients.replay.scoring.gold import AnswerType, Gold

Split = Literal["test", "train", "all"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One question about one image.

    ``image_key`` identifies the image in the data folder: samples with equal keys share it. ``gold`` is a tuple for
    the list types and a string for all others. ``labels`` are what a report groups by.
    """

    id: str
    image_key: str
    question: str
    gold: Gold
    answer_type: AnswerType
    labels: Mapping[str, str] = field(default_factory=dict)


class SkipReason(StrEnum):
    """Why a dataset entry cannot be asked, or a file is not used."""

    MISSING_IMAGE = "missing image"
    MISSING_QUESTIONS = "missing questions"
    BROKEN_FILE = "broken file"
    BROKEN_ENTRY = "broken entry"
    UNKNOWN_ANSWER_TYPE = "unknown answer type"
    DUPLICATE_ID = "duplicate id"
    DUPLICATE_FILE = "duplicate file"


@dataclass(frozen=True, slots=True)
class SkippedEntry:
    """A skipped entry or file: the kind of problem, where it is, and what is wrong with it."""

    kind: SkipReason
    where: str
    detail: str
