"""Tiny datasets in their own layouts, a service that is a function, and run folders made with both."""

import asyncio
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from markupsafe import Markup
from PIL import Image
from rich.console import Console

from clients.replay.asking.client import AskOptions
from clients.replay.asking.runner import RunConfig, RunSummary, run
from clients.replay.report import comparison_plots, run_plots
from clients.replay.run.outcomes import Scored
from clients.replay.tasks import TASKS
from clients.replay.tasks.criteria import Criteria
from tests.unit.replay.serving import Handler, serving

_CRITERIA = frozenset(Criteria.model_fields)
MODEL_LIST = {"object": "list", "data": [{"id": "m", "variant": "fp32", "revision": "r1", "manifest_sha256": "ab"}]}


def png(color: tuple[int, int, int], side: int = 24) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), color).save(buffer, "PNG")
    return buffer.getvalue()


def reply(answer: str, lens: dict[str, Any] | None = None) -> dict[str, Any]:
    timing = {"queue_ms": 1.0, "preprocess_ms": 2.0, "inference_ms": 30.0, "total_ms": 33.0}
    usage = {"image_tokens": 16, "prompt_tokens": 40, "completion_tokens": 1}
    head = {"id": "a1", "model": "m", "variant": "fp32", "answer": answer, "finish_reason": "stop"}
    return {**head, "usage": usage, "timing": timing, "cache": None, "lens": lens}


def trace(*layers: list[tuple[str, float]]) -> dict[str, Any]:
    """A lens trace with one step, from each layer's tokens and probabilities."""
    entries = [
        {
            "layer": number,
            "top": [{"token": token, "token_id": 0, "prob": prob} for token, prob in tokens],
            "entropy": 3.0 - number,
            "answer_prob": 0.5,
            "answer_rank": 0,
        }
        for number, tokens in enumerate(layers)
    ]
    return {"num_layers": len(layers) - 1, "steps": [{"token": "3", "token_id": 0, "layers": entries}]}


@dataclass
class FakeService:
    """Answers questions from a table; records each question with its image's digest.

    Questions not in the table are answered "?"; exceptions in the table are raised, responses returned as they are.
    """

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    delay_s: float = 0.001
    most_at_once: int = 0
    _now: int = 0

    def transport(self) -> httpx.MockTransport:
        """Returns itself as the client's transport."""
        return httpx.MockTransport(self._handle)

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/models":
            return httpx.Response(200, json=MODEL_LIST)
        body = json.loads(request.content)
        self.bodies.append(body)
        self.asked.append((request.headers["X-Image-Digest"], body["question"]))
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        await asyncio.sleep(self.delay_s)
        self._now -= 1
        answer = self.answers.get(body["question"], "?")
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        return httpx.Response(200, json=answer if isinstance(answer, dict) else reply(answer))


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def block() -> Callable[..., dict[str, Any]]:
    """Makes a RealCQA block; keywords replace fields, ``taxonomy`` the one whose name contains a space."""

    def make(taxonomy: str = "2e", **fields: object) -> dict[str, Any]:
        plain = {"QID": "3", "question": "Is there a legend?", "answer": "Yes", "answer_type": "Binary", "qa_id": "q1"}
        return {"taxonomy id": taxonomy, **plain, "PMC_ID": "PMC1_a", **fields}

    return make


@pytest.fixture
def realcqa(tmp_path: Path) -> Callable[..., Path]:
    """Writes a RealCQA folder from ``{stem: blocks}``; charts go to ``images`` and ``images2`` alternately."""

    def make(charts: dict[str, Any], test: list[str] | None = None, *, without_image: tuple[str, ...] = ()) -> Path:
        data = tmp_path / "realcqa"
        for number, (stem, blocks) in enumerate(charts.items()):
            suffix = "2" if number % 2 else ""
            for folder in (data / f"images{suffix}", data / f"qa{suffix}"):
                folder.mkdir(parents=True, exist_ok=True)
            content = blocks if isinstance(blocks, str) else json.dumps(blocks)
            (data / f"qa{suffix}" / f"{stem}.json").write_text(content, encoding="utf-8")
            if stem not in without_image:
                (data / f"images{suffix}" / f"{stem}.jpg").write_bytes(png((number, 9, 9)))
        (data / "test_filenames.txt").write_text("\n".join(charts if test is None else test) + "\n", encoding="utf-8")
        return data

    return make


@pytest.fixture
def tallyqa(tmp_path: Path) -> Callable[..., Path]:
    """Writes a TallyQA folder from the entries of its test split; every image exists, except ``missing.png``."""

    def make(entries: object, split: str = "test") -> Path:
        data = tmp_path / "tallyqa"
        data.mkdir(exist_ok=True)
        (data / f"{split}.json").write_text(json.dumps(entries), encoding="utf-8")
        for number, entry in enumerate(entries if isinstance(entries, list) else []):
            name = entry.get("image") if isinstance(entry, dict) else None
            if isinstance(name, str) and not {"..", "/"} & {*Path(name).parts} and "missing" not in name:
                (data / name).parent.mkdir(parents=True, exist_ok=True)
                (data / name).write_bytes(png((9, number, 9)))
        return data

    return make


@pytest.fixture
def tally() -> Callable[..., dict[str, Any]]:
    """Makes a TallyQA entry; keywords replace fields."""

    def make(question_id: int = 1, **fields: object) -> dict[str, Any]:
        return {
            "answer": 3,
            "data_source": "amt",
            "image": "VG_100K/1.png",
            "image_id": 91,
            "issimple": True,
            "question": f"How many dogs {question_id}?",
            "question_id": question_id,
            **fields,
        }

    return make


@pytest.fixture
def pictures(tallyqa: Callable[..., Path], tally: Callable[..., dict[str, Any]]) -> Path:
    """Six images with three questions each, listed round by round."""
    entries = [tally(10 * n + q, image=f"VG_100K/{n}.png", answer=q) for q in range(3) for n in range(6)]
    return tallyqa(entries)


@pytest.fixture
def do_run(tmp_path: Path, service: FakeService) -> Callable[..., RunSummary]:
    """Runs a task over a data folder against the fake service, into ``tmp_path / "run"``."""

    def make(task: str, data: Path, **changes: Any) -> RunSummary:
        fields: dict[str, Any] = {
            "url": "http://127.0.0.1:9",
            "out": tmp_path / "run",
            "concurrency": 2,
            "options": AskOptions(timeout_s=5, retries=0),
        }
        criteria = Criteria(**{"split": "test"} | {name: changes.pop(name) for name in _CRITERIA & changes.keys()})
        config = RunConfig(task=TASKS[task], data=data, criteria=criteria, **{**fields, **changes})
        return asyncio.run(run(config, Console(quiet=True), service.transport()))

    return make


@pytest.fixture
def lens_reply() -> Callable[..., dict[str, Any]]:
    """Makes a reply with a lens trace."""

    def make(answer: str, *layers: list[tuple[str, float]]) -> dict[str, Any]:
        return reply(answer, trace(*layers))

    return make


@pytest.fixture
def scored() -> Callable[..., Scored]:
    """Makes the outcome of an answered question with distinct numbers; keywords replace fields."""

    def make(sample_id: str = "s1", **fields: object) -> Scored:
        told = {
            "sample_id": sample_id,
            "image": "a.png",
            "question": "How many?",
            "gold": "3",
            "answer_type": "count",
            "latency_ms": 51.5,
            "answer": "4",
            "finish_reason": "stop",
            "usage": {"image_tokens": 11, "prompt_tokens": 12, "completion_tokens": 13},
            "timing": {"queue_ms": 21, "preprocess_ms": 22, "inference_ms": 23, "total_ms": 66},
        }
        return Scored.model_validate({**told, **fields})

    return make


@pytest.fixture
def url() -> Iterator[str]:
    """A real service on a loopback port that answers 3 after 20 ms."""
    with serving() as address:
        yield address


@pytest.fixture
def asked(url: str, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The bodies of all requests to ``url``."""
    assert url
    bodies: list[dict[str, Any]] = []
    monkeypatch.setattr(Handler, "asked", bodies)
    return bodies


@pytest.fixture
def digest_of() -> Callable[[Path], str]:
    """The digest of a file, as the client sends it."""
    return lambda path: hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skips the figures of reports and comparisons, which take most of the time."""
    for module in (run_plots, comparison_plots):
        monkeypatch.setattr(module, "svg", lambda *_: Markup())
