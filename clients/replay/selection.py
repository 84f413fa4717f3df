"""Which of a data set's questions are asked, and the sum that tells two selections apart."""

import hashlib
import json
import random
from collections.abc import Iterable, Sequence

from clients.replay.record import Selection
from clients.replay.tasks.sample import Sample, Split


def draw(samples: Sequence[Sample], limit: int | None, seed: int) -> tuple[Sample, ...]:
    """A uniform sample of ``limit`` questions over the whole split, in its own order; everything without a limit."""
    if limit is None or limit >= len(samples):
        return tuple(samples)
    chosen = sorted(random.Random(seed).sample(range(len(samples)), limit))  # noqa: S311 - a draw, no secret
    return tuple(samples[index] for index in chosen)


def by_picture(samples: Iterable[Sample]) -> tuple[tuple[Sample, ...], ...]:
    """The questions of each picture together, pictures and questions in the order they came."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.image_key, []).append(sample)
    return tuple(map(tuple, groups.values()))


def describe(samples: Sequence[Sample], split: Split, limit: int | None, seed: int) -> Selection:
    """What ``run.json`` says of a selection."""
    return Selection(
        split=split,
        limit=limit,
        seed=seed,
        questions=len(samples),
        pictures=len({sample.image_key for sample in samples}),
        sha256=_digest(samples),
    )


def _digest(samples: Iterable[Sample]) -> str:
    digest = hashlib.sha256()
    for sample in samples:
        fields = (sample.id, sample.image_key, sample.question, sample.gold, sample.answer_type)
        digest.update(json.dumps(fields, ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()
