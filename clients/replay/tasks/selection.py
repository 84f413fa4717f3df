"""Which questions of a dataset are asked, and the checksum that identifies the selection."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from clients.replay.errors import ReplayError
from clients.replay.scoring.gold import AnswerType
from clients.replay.tasks.criteria import Criteria, Selection
from clients.replay.tasks.index import SampleIndex
from clients.replay.tasks.sample import Sample

_TYPE_LABELS: Final = ("kind", "taxonomy", "chart")


@dataclass(frozen=True, slots=True)
class Shard:
    """One of ``count`` parts of a selection: every ``count``-th image from ``index`` (0-based) on."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read ``i/n``.

        Raises:
            ValueError: the text is not a shard.
        """
        index, _, count = text.partition("/")
        shard = cls(int(index), int(count))
        if not 0 <= shard.index < shard.count:
            message = f"{text!r} is not a shard: i/n needs i from 0 to n - 1"
            raise ValueError(message)
        return shard


def select(index: SampleIndex, criteria: Criteria) -> Selection:
    """Draw by the criteria (images, then one question each, then questions) and describe the selection.

    Raises:
        ReplayError: nothing is left.
    """
    eligible = index.questions()
    if criteria.picture_share is not None:
        index.draw_images(criteria.picture_share, criteria.seed)
    if criteria.one_question_per_image:
        index.draw_one_per_image(criteria.seed)
    if criteria.limit is not None:
        index.draw(criteria.limit, criteria.seed)
    questions = index.questions()
    if not questions:
        message = f"No question of split {criteria.split!r} can be asked: {_why_none(index, criteria)}."
        raise ReplayError(message)
    return Selection(
        **criteria.model_dump(),
        eligible=eligible,
        questions=questions,
        pictures=index.pictures(),
        sha256=_digest(index.samples()),
    )


def wanted(criteria: Criteria, sample: Sample) -> bool:
    """Whether a question passes the filters."""
    return (
        (not criteria.simple_only or sample.labels.get("complexity") == "simple")
        and (criteria.max_answer is None or _answer_within(sample, criteria.max_answer))
        and (not criteria.question_types or _is_of_type(sample, criteria.question_types))
    )


def _answer_within(sample: Sample, limit: int) -> bool:
    return sample.answer_type is AnswerType.COUNT and int(str(sample.gold)) <= limit


def _is_of_type(sample: Sample, names: Iterable[str]) -> bool:
    own = {sample.answer_type.value, *(sample.labels.get(label, "").lower() for label in _TYPE_LABELS)}
    return not own.isdisjoint(names)


def _why_none(index: SampleIndex, criteria: Criteria) -> str:
    options = criteria.model_dump(exclude_defaults=True, exclude={"split", "seed", "protocol", "note"})
    filters = ", ".join(f"{name} = {value}" for name, value in options.items()) or "none"
    problems = sum(1 for _ in index.problems())
    return f"{index.passed_over} did not match the filters ({filters}), {problems} entries were unusable"


def _digest(samples: Iterable[Sample]) -> str:
    digest = hashlib.sha256()
    for sample in samples:
        fields = (sample.id, sample.image_key, sample.question, sample.gold, sample.answer_type)
        digest.update(json.dumps(fields, ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()
