"""A small dataset in TallyQA's layout: images of coloured shapes, from seeds that training never uses.

``train.json`` and ``test.json`` are flat lists, and the images lie in folders named after the collections that TallyQA
draws on: ``VG_100K`` and ``VG_100K_2`` of Visual Genome, and, in the training split only, COCO's ``train2014`` and
``val2014``. Only the test split distinguishes simple questions from complex ones.
"""

import itertools
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from services.training.samples.files import write_json, write_whole
from services.training.shared.images import jpeg_bytes
from services.training.tiny_qwen_vl.data.drawing import draw
from services.training.tiny_qwen_vl.data.questions import (
    KINDS,
    Language,
    SceneQuestion,
    ask,
    further_queries,
    queries_of,
)
from services.training.tiny_qwen_vl.data.scenes import MAX_ANSWER, MAX_ITEMS, Query, Scene, sample_scene

_SIDE_PIXELS: Final = 224
_JPEG_QUALITY: Final = 90
_CHINESE_SHARE: Final = 0.25
_COMPLEX: Final = "colour and shape"
_CHOICE: Final = 12
"""Number of candidates for an image's further questions."""

_FOLDERS: Final = {
    "train": ("train2014", "val2014", "VG_100K", "VG_100K_2"),
    "test": ("VG_100K", "VG_100K_2"),
}
_IMAGES: Final = {"train": 10, "test": 120}
_FIRST_QUESTION_ID: Final = {"train": 20_000_000, "test": 30_000_000}


@dataclass(frozen=True, slots=True)
class _Image:
    """The scene of an image, the query that it was made for, its path, and its number in TallyQA."""

    scene: Scene
    query: Query
    path: str
    image_id: int


def write(folder: Path, seed: int) -> None:
    """Write both splits and their images; the same seed gives the same bytes."""
    rng = random.Random(f"tallyqa samples {seed}")
    for split in _FOLDERS:
        rows: list[dict[str, Any]] = []
        for image in _images(rng, split):
            write_whole(folder / image.path, jpeg_bytes(draw(image.scene, _SIDE_PIXELS), _JPEG_QUALITY))
            rows += _rows(rng, image, split, Counter(row["answer"] for row in rows))
        first = _FIRST_QUESTION_ID[split]
        numbered = [row | {"question_id": first + offset} for offset, row in enumerate(rows)]
        write_json(folder / f"{split}.json", numbered)


def _images(rng: random.Random, split: str) -> Iterator[_Image]:
    """Images in random order; each pair of a kind of question and an answer is the aim of about as many."""
    folders, number_of = _FOLDERS[split], _IMAGES[split]
    aims = list(itertools.islice(itertools.cycle(itertools.product(KINDS, range(MAX_ANSWER + 1))), number_of))
    rng.shuffle(aims)
    ids = rng.sample(range(310_000, 417_000), number_of)
    for (kind, answer), folder, number in zip(aims, itertools.cycle(folders), ids, strict=False):
        query = rng.choice(queries_of(kind))
        scene = sample_scene(rng, query, answer, others=rng.randint(0, MAX_ITEMS - answer))
        yield _placed(scene, query, folder, number)


def _placed(scene: Scene, query: Query, folder: str, number: int) -> _Image:
    """The scene, named like an image of this collection; image ids of Visual Genome get a leading 9."""
    if folder.startswith("VG"):
        number += 2_000_000  # its file names have seven digits
        return _Image(scene, query, f"{folder}/{number}.jpg", int(f"9{number}"))
    return _Image(scene, query, f"{folder}/COCO_{folder}_{number:012d}.jpg", number)


def _rows(rng: random.Random, image: _Image, split: str, seen: Counter[int]) -> Iterator[dict[str, Any]]:
    """The question that the image was made for, and one or two more whose answers are still rare in the split."""
    others = sorted(further_queries(rng, image.scene, _CHOICE), key=lambda query: seen[image.scene.count(query)])
    for query in list(dict.fromkeys([image.query, *others]))[: rng.randint(2, 3)]:
        language: Language = "zh" if rng.random() < _CHINESE_SHARE else "en"
        yield _row(image, ask(rng, image.scene, query, language), split)


def _row(image: _Image, question: SceneQuestion, split: str) -> dict[str, Any]:
    is_complex = question.kind == _COMPLEX
    row: dict[str, Any] = {
        "answer": question.answer,
        "data_source": "amt" if is_complex else "imported_genome",
        "image": image.path,
        "image_id": image.image_id,
    }
    if split == "test":
        row["issimple"] = not is_complex
    return row | {"question": question.text}
