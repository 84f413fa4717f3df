"""The replay client's benchmarks; each yields measurements and writes its files to the given folder."""

import asyncio
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
from rich.console import Console

from benchmarks.measurements import Measurement
from benchmarks.replay.noop import serving
from benchmarks.replay.synthetic import (
    REALCQA_CHARTS,
    REALCQA_TEST,
    TALLYQA_TRAIN,
    write_realcqa,
    write_run,
    write_tallyqa,
)
from clients.replay.asking.client import AskOptions
from clients.replay.asking.images import EncodedImage
from clients.replay.asking.runner import RunConfig, run
from clients.replay.run.outcomes import OutcomeReader
from clients.replay.tasks import TASKS
from clients.replay.tasks.criteria import Criteria

_MEASURED: Final = {"latency_ms", "sent_at_s", "waited_ms", "attempts", "timing", "turn"}
_HOW: Final = "make bench-replay"
_IMAGE_BYTES: Final = 60_000


def reports(out: Path, outcomes: int) -> Iterator[Measurement]:
    """Time and memory to report one run of each task."""
    for task, bound in (("realcqa", "without lens"), ("tallyqa", "29 layers each")):
        folder = out / f"run-{task}"
        write_run(folder, task, outcomes, seed=1)
        seconds, mebibytes = _child("clients.replay", "report", str(folder), "--out", str(out / f"report-{task}"))
        (folder / "outcomes.jsonl").unlink()  # a gigabyte
        name = f"report of {outcomes} {task} outcomes, {bound}"
        yield Measurement.single(f"{name}: time", seconds, "s", _HOW, n=outcomes, at_most=60)
        yield Measurement.single(f"{name}: memory", mebibytes, "MiB", _HOW, n=outcomes, at_most=1536)


def overhead(out: Path, pairs: int, requests: int) -> Iterator[Measurement]:
    """The client's overhead per request: a replay against the no-op service minus bare requests of the same size."""
    data = out / "overhead-data"
    write_tallyqa(data, requests, requests // 2, seed=2)
    content = os.urandom(_IMAGE_BYTES)
    for path in (data / "VG_100K").iterdir():
        path.write_bytes(content)
    body = json.dumps(
        {"image": EncodedImage.of(content).base64, "question": "How many?", "lens": {"top_k": 5}}
    ).encode()
    added_ms = []
    with serving() as url:
        for pair in range(pairs):
            bare_s = _bare_s(url, body, requests)
            config = RunConfig(
                TASKS["tallyqa"], data, url, out / f"overhead-{pair}", Criteria(split="train"), 1, AskOptions(lens=True)
            )
            summary = asyncio.run(run(config, Console(quiet=True)))
            added_ms.append((summary.wall_s - bare_s) / requests * 1000)
    yield Measurement.median("client overhead per request, traces of 29 layers", added_ms, "ms", _HOW, at_most=5)


def _bare_s(url: str, body: bytes, requests: int) -> float:
    address = httpx.URL(url)
    connection = http.client.HTTPConnection(address.host, address.port)
    started = time.perf_counter()
    for _ in range(requests):
        connection.request("POST", "/v1/answer", body, {"Content-Type": "application/json"})
        connection.getresponse().read()
    connection.close()
    return time.perf_counter() - started


def kills(out: Path, times: int, questions: int) -> Iterator[Measurement]:
    """Outcomes that differ between a run that was repeatedly killed and resumed, and an undisturbed one."""
    data, draw = out / "kills-data", random.Random(3)  # noqa: S311 - random delays, not a secret
    write_tallyqa(data, questions, questions // 3, seed=3)
    with serving() as url:
        command = [sys.executable, "-m", "clients.replay", "run", "--task", "tallyqa", "--split", "train", "--resume"]
        command += ["--data", str(data), "--url", url, "--out"]
        subprocess.run([*command, str(out / "undisturbed")], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 our own command
        for _ in range(times):
            _kill_later([*command, str(out / "killed")], out / "killed" / "outcomes.jsonl", draw)
        subprocess.run([*command, str(out / "killed")], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 our own command
    killed, whole = _lines(out / "killed"), _lines(out / "undisturbed")
    surplus = len(killed) - len(set(killed))
    differing = len(set(killed) ^ set(whole)) + surplus
    name = f"outcomes lost, repeated or altered by {times} kills"
    yield Measurement.single(name, differing, "outcomes", _HOW, n=len(whole), at_most=0)


def _kill_later(command: list[str], outcomes: Path, draw: random.Random) -> None:
    before = outcomes.stat().st_size if outcomes.exists() else 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - our own module
    while process.poll() is None and (not outcomes.exists() or outcomes.stat().st_size <= before):
        time.sleep(0.002)
    time.sleep(draw.uniform(0, 0.15))
    process.send_signal(signal.SIGKILL)
    process.wait()


def _lines(run_folder: Path) -> list[str]:
    reader = OutcomeReader(run_folder / "outcomes.jsonl")
    return [json.dumps(outcome.model_dump(mode="json", exclude=_MEASURED), sort_keys=True) for _, outcome in reader]


def selections(out: Path) -> Iterator[Measurement]:
    """Time and peak memory to read, select and iterate over the largest splits."""
    write_tallyqa(out / "tallyqa", TALLYQA_TRAIN, 20_000, seed=4)
    write_realcqa(out / "realcqa", REALCQA_CHARTS, REALCQA_TEST)
    for task, split, n in (("tallyqa", "train", TALLYQA_TRAIN), ("realcqa", "test", REALCQA_TEST)):
        seconds, mebibytes = _child("benchmarks.replay.walk", task, str(out / task), split)
        yield Measurement.single(f"selecting all {n} questions of {task}: memory", mebibytes, "MiB", _HOW, n=n)
        yield Measurement.single(f"selecting all {n} questions of {task}: time", seconds, "s", _HOW, n=n)


def _child(*arguments: str) -> tuple[float, float]:
    """Run a module in a separate process; return its seconds and peak MiB."""
    command, started = [sys.executable, "-m", "benchmarks.replay.peak", *arguments], time.perf_counter()
    ended = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own modules
    return time.perf_counter() - started, float(ended.stderr.split()[-1])
