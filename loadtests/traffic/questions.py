"""Requests: questions of a dataset on disk, as request bodies."""

import base64
import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from clients.replay.run.replies import Reply, question_fields, reply_fields
from clients.replay.tasks.sample import Sample
from loadtests.results.outcomes import Outcome, read_outcome
from loadtests.traffic.samples import Samples
from services.wire.lens import LensRequest

REPEATED_IMAGES: Final = 4


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: its id in the run, its sample, the image's digest, and the JSON body."""

    id: str
    sample: Sample
    image_sha256: str
    body: bytes

    def outcome(self, reply: Reply, *, intended_at_s: float, sent_at_s: float, latency_ms: float) -> Outcome:
        """The outcome of this request."""
        times = {
            "intended_at_s": round(intended_at_s, 6),
            "sent_at_s": round(sent_at_s, 6),
            "latency_ms": round(latency_ms, 3),
        }
        question = question_fields(self.sample, self.image_sha256) | {"sample_id": self.id}
        return read_outcome(question | times | reply_fields(reply))


class Questions:
    """Draws samples with replacement.

    ``unique`` images have different bytes, and so a different digest, in every request: a few random bytes are appended
    to the file, which decoders ignore. ``repeated`` images are a handful, used over and over, unmodified.
    """

    def __init__(self, samples: Samples, pictures: Literal["unique", "repeated"], *, lens: bool, seed: int) -> None:
        self._unique = pictures == "unique"
        self._samples = samples.questions if self._unique else _of_few_images(samples.questions, seed)
        self._read = samples.read
        self._fields: dict[str, Any] = {"lens": LensRequest().model_dump()} if lens else {}  # Any: JSON values
        self._seed = seed

    def stream(self, source: str) -> Iterator[Ask]:
        """An endless stream of requests from one source; deterministic by seed and source.

        Raises:
            OSError: an image cannot be read.
        """
        draw = random.Random(f"{self._seed}/{source}")  # noqa: S311 - reproducible, not for security
        number = 0
        while True:
            sample = draw.choice(self._samples)
            content = self._read(sample.image_key)  # not cached: a dataset may be larger than memory
            if self._unique:
                content += draw.randbytes(16)
            yield Ask(
                id=f"{source}-{number:06d}/{sample.id}",
                sample=sample,
                image_sha256=hashlib.sha256(content).hexdigest(),
                body=self._body(content, sample.question),
            )
            number += 1

    def _body(self, content: bytes, question: str) -> bytes:
        image = base64.b64encode(content).decode("ascii")
        return json.dumps({"image": image, "question": question, **self._fields}).encode()


def _of_few_images(samples: Sequence[Sample], seed: int) -> tuple[Sample, ...]:
    keys = sorted({sample.image_key for sample in samples})
    draw = random.Random(seed)  # noqa: S311 - reproducible, not for security
    kept = set(draw.sample(keys, min(REPEATED_IMAGES, len(keys))))
    return tuple(sample for sample in samples if sample.image_key in kept)
