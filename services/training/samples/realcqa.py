"""A small dataset in RealCQA's layout: charts of the distribution that training uses, from seeds that it never uses.

``images/STEM.jpg``, ``qa/STEM.json`` with one block per question, and ``test_filenames.txt`` with the stems of the test
charts, here all charts. There are no chart annotations (``json/``).
"""

import hashlib
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from PIL import Image

from services.training.samples.files import write_json, write_whole
from services.training.shared.images import jpeg_bytes
from services.training.tiny_matcha.data.charts import Chart, sample_chart
from services.training.tiny_matcha.data.drawing import draw_chart
from services.training.tiny_matcha.data.kinds import KINDS, Kind
from services.training.tiny_matcha.data.questions import Question, ask, kinds_for

CHARTS: Final = 66
QUESTIONS_PER_CHART: Final = 5
JPEG_QUALITY: Final = 95
_FIRST_NUMBER: Final = 9_000_001
"""First number of a stem, far above those that PubMed Central has assigned."""

Draw = Callable[[Chart, random.Random], Image.Image]


def write(folder: Path, seed: int) -> None:
    """Write charts and questions; the same seed gives the same bytes."""
    write_set(folder, random.Random(f"samples/realcqa/{seed}"), CHARTS, lambda chart, _: draw_chart(chart))


def write_set(folder: Path, rng: random.Random, charts: int, draw: Draw, first_number: int = _FIRST_NUMBER) -> None:
    """Write ``charts`` charts, drawn by ``draw``, with questions; every kind comes up about equally often."""
    times_asked: Counter[str] = Counter()
    stems = []
    for number in range(first_number, first_number + charts):
        stem = f"PMC{number}_g001"
        chart = sample_chart(rng)
        asked = [ask(chart, kind, rng) for kind in _rarest_kinds(times_asked, chart)]
        times_asked.update(question.kind.name for question in asked)
        image = jpeg_bytes(draw(chart, rng), JPEG_QUALITY, subsampling=0)
        write_whole(folder / "images" / f"{stem}.jpg", image)
        blocks = [_block(question, stem, index) for index, question in enumerate(asked)]
        write_json(folder / "qa" / f"{stem}.json", blocks)
        stems.append(stem)
    write_whole(folder / "test_filenames.txt", "".join(f"{stem}\n" for stem in stems).encode())


def _rarest_kinds(times_asked: Counter[str], chart: Chart) -> list[Kind]:
    """Of the kinds that apply to the chart, those asked least often so far."""
    return sorted(kinds_for(chart), key=lambda kind: times_asked[kind.name])[:QUESTIONS_PER_CHART]


def _block(question: Question, stem: str, index: int) -> dict[str, Any]:
    kind = question.kind
    numerical = kind.answer_type == "Numerical"
    return {
        "taxonomy id": kind.taxonomy,
        "QID": str(list(KINDS).index(kind.name) + 1),
        "question": question.text,
        "answer": int(question.answer) if numerical else _as_json(question),
        "answer_type": kind.answer_type,
        "qa_id": hashlib.sha256(f"{stem}/{index}".encode()).hexdigest()[:12],
        "PMC_ID": stem,
    }


def _as_json(question: Question) -> str | list[str]:
    gold = question.content.gold
    return gold if isinstance(gold, str) else list(gold)
