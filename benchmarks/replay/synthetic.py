"""Synthetic run folders and datasets, generated from a seed, with the size and layout of real ones."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from clients.replay.run.folder import RunFolder
from clients.replay.run.machine import Machine, client_versions
from clients.replay.run.record import RunRecord, RunStatus, now
from clients.replay.tasks.criteria import Selection
from services.wire.answer import ModelCard

LAYERS: Final = 29
TALLYQA_TRAIN: Final = 249_318
REALCQA_CHARTS: Final = 9_357
REALCQA_TEST: Final = 367_139
_TOKENS: Final = ("三", "3", " three", "the", "\n", "什么", "4", "2", "个", "人", "两", "0", "1", "5")
_TAXONOMY: Final = ("1a", "1b", "2a", "2c", "2e", "3a", "3b", "3c", "4a", "4b")
_TYPES: Final = ("string", "numerical", "binary", "ranked list", "unranked list")


def write_run(path: Path, task: str, outcomes: int, seed: int) -> None:
    """Write a finished run of ``outcomes`` lines; TallyQA's have a trace of 29 layers each."""
    draw, folder = random.Random(seed), RunFolder(path)  # noqa: S311 - synthetic data
    folder.create()
    images = outcomes // 2 if task == "tallyqa" else REALCQA_CHARTS
    selection = Selection(split="test", seed=seed, questions=outcomes, pictures=images, sha256="0" * 64)
    record = RunRecord(
        task=task,
        data="synthetic",
        selection=selection,
        url="http://127.0.0.1:9",
        concurrency=8,
        lens=task == "tallyqa",
        timeout_s=60,
        server=ModelCard(id="synthetic", variant="fp32", revision="0", manifest_sha256="0"),
        versions=client_versions(),
        machine=Machine.this(),
        started=now(),
    )
    folder.write_record(record.finished(RunStatus.FINISHED))
    make = _tally_lines if task == "tallyqa" else _chart_lines
    with folder.outcomes.open("w", encoding="utf-8") as file:
        file.writelines(make(outcomes, images, draw))


def _tally_lines(outcomes: int, pictures: int, draw: random.Random) -> Iterator[str]:
    traces = [json.dumps(_trace(draw), ensure_ascii=False) for _ in range(500)]
    for number in range(outcomes):
        gold = str(draw.randrange(16))
        labels = {"script": "Latin", "complexity": draw.choice(["simple", "complex"]), "source": "amt"}
        answer = gold if draw.random() < 0.7 else draw.choice(["3", "三", "many", "four"])  # noqa: PLR2004 - a share
        outcome = _outcome(number, f"VG_100K/{draw.randrange(pictures)}.jpg", gold, "count", answer, labels, draw)
        yield f'{json.dumps(outcome, ensure_ascii=False)[:-1]}, "lens": {draw.choice(traces)}}}\n'


def _chart_lines(outcomes: int, pictures: int, draw: random.Random) -> Iterator[str]:
    for number in range(outcomes):
        kind, taxonomy = draw.choice(_TYPES), draw.choice(_TAXONOMY)
        gold, answer = _chart_answer(kind, draw)
        labels = {"kind": "retrieval", "taxonomy": taxonomy, "chart": draw.choice(["line", "scatter", "bar"])}
        image = f"images/PMC{draw.randrange(pictures)}.jpg"
        yield json.dumps(_outcome(number, image, gold, kind, answer, labels, draw)) + "\n"


def _chart_answer(kind: str, draw: random.Random) -> tuple[str | list[str], str]:
    value = draw.uniform(-100, 1000)
    items = [f"group {draw.randrange(50)}" for _ in range(4)]
    answers: dict[str, tuple[str | list[str], str]] = {
        "string": (draw.choice(["line chart", "time (s)", items[0]]), draw.choice(["line chart", items[0]])),
        "numerical": (f"{value:.2f}", f"{value * draw.uniform(0.9, 1.1):.2f}"),
        "binary": (draw.choice(["Yes", "No"]), draw.choice(["yes", "no"])),
        "ranked list": (items, ", ".join(items[:3])),
        "unranked list": (items, ", ".join(reversed(items))),
    }
    return answers[kind]


def _outcome(  # noqa: PLR0913, PLR0917 - one parameter per varying field
    number: int, image: str, gold: object, kind: str, answer: str, labels: dict[str, str], draw: random.Random
) -> dict[str, Any]:
    latency_ms = draw.lognormvariate(5, 0.4)
    return {
        "sample_id": str(number),
        "image": image,
        "image_sha256": "0" * 64,
        "question": f"How many things are there in image {number}?",
        "gold": gold,
        "answer_type": kind,
        "labels": labels,
        "latency_ms": round(latency_ms, 3),
        "sent_at_s": 1.7e9 + number / 10,
        "turn": number % 4,
        "outcome": "scored",
        "answer": answer,
        "finish_reason": "stop",
        "usage": {"image_tokens": draw.choice([300, 324, 768]), "prompt_tokens": 360, "completion_tokens": 2},
        "timing": {"queue_ms": 1.0, "preprocess_ms": 9.0, "inference_ms": latency_ms * 0.8, "total_ms": latency_ms},
    }


def _trace(draw: random.Random) -> dict[str, Any]:
    layers = [
        {
            "tokens": draw.sample(_TOKENS, 5),
            "probs": [round(draw.random(), 4) for _ in range(5)],
            "entropy": round(draw.uniform(0, 8), 4),
            "answer_prob": round(draw.random(), 4),
            "answer_rank": draw.randrange(100),
        }
        for _ in range(LAYERS)
    ]
    return {"token": "3", "layers": layers}


def write_tallyqa(folder: Path, questions: int, pictures: int, seed: int) -> None:
    """Write a TallyQA train split of that size, with images of a few bytes each."""
    draw = random.Random(seed)  # noqa: S311 - synthetic data
    (folder / "VG_100K").mkdir(parents=True)
    for number in range(pictures):
        (folder / "VG_100K" / f"{number}.jpg").write_bytes(b"picture")
    with (folder / "train.json").open("w", encoding="utf-8") as file:
        for number in range(questions):
            entry = {
                "answer": draw.randrange(16),
                "data_source": "imported_genome",
                "image": f"VG_100K/{draw.randrange(pictures)}.jpg",
                "image_id": number,
                "question": f"How many things of the kind number {number} are there?",
                "question_id": number,
            }
            file.write(("[" if number == 0 else ",") + json.dumps(entry))
        file.write("]")


def write_realcqa(folder: Path, charts: int, questions: int) -> None:
    """Write a RealCQA test split of that size."""
    (folder / "images").mkdir(parents=True)
    (folder / "qa").mkdir()
    stems = [f"PMC{number}_a" for number in range(charts)]
    per_chart = questions // charts
    for position, stem in enumerate(stems):
        (folder / "images" / f"{stem}.jpg").write_bytes(b"picture")
        blocks = [
            {
                "taxonomy id": _TAXONOMY[number % len(_TAXONOMY)],
                "QID": str(number),
                "question": f"What is the value of series {number} at its last point?",
                "answer": str(number),
                "answer_type": "Numerical",
                "qa_id": f"q{number}",
                "PMC_ID": stem,
            }
            for number in range(per_chart + (position < questions % charts))
        ]
        (folder / "qa" / f"{stem}.json").write_text(json.dumps(blocks), encoding="utf-8")
    (folder / "test_filenames.txt").write_text("\n".join(stems), encoding="utf-8")
