"""The demo's steps: which replay goes to which service, and how it ends when something does not start."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from clients.demo import __main__ as demo
from clients.launcher import StartupError

APP = typer.Typer()
APP.command()(demo.main)


class World:
    """The services that the demo started and stopped, and the commands it ran, in order."""

    def __init__(self) -> None:
        self.steps: list[Any] = []
        self.trouble: dict[str, BaseException] = {}

    @contextmanager
    def running(self, name: str, log: Path, *options: str) -> Iterator[Any]:
        if name in self.trouble:
            raise self.trouble[name]
        self.steps.append(("start", name, log.name, options))
        try:
            yield type("Service", (), {"url": f"http://{name}"})
        finally:
            self.steps.append(("stop", name))

    def client(self, command: list[str], *, check: bool) -> None:
        assert (command[:3], check) == ([sys.executable, "-m", "clients.replay"], True)
        self.steps.append(command[3:])
        if command[3] in self.trouble:
            raise self.trouble[command[3]]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(demo, "running", world.running)
    monkeypatch.setattr(subprocess, "run", world.client)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return world


def started(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(APP, arguments)
    return result.exit_code, result.output


def replayed(out: Path, sample: str, task: str, service: str, *more: str) -> list[str]:
    data = str(Path(demo.__file__).parents[1] / "samples" / sample)
    return ["run", "--task", task, "--data", data, "--url", f"http://{service}", "--out", str(out / sample), *more]


def test_each_sample_is_replayed_against_its_service_and_all_are_reported(world: World, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, output = started("--out", str(out), "--limit", "12", "--threads", "3")
    assert (code, f"report: {out / 'report' / 'index.html'}" in output) == (0, True), output
    assert world.steps == [
        ("start", "matcha", "matcha.log", ("--threads", "3")),
        ("start", "qwen_vl", "qwen_vl.log", ("--threads", "3")),
        replayed(out, "realcqa", "realcqa", "matcha", "--limit", "12"),
        replayed(out, "realcqa-shifted", "realcqa", "matcha", "--limit", "12"),
        replayed(out, "tallyqa", "tallyqa", "qwen_vl", "--lens", "--limit", "12"),
        ("stop", "qwen_vl"),
        ("stop", "matcha"),
        ["report", *(str(out / name) for name in ("realcqa", "realcqa-shifted", "tallyqa")), "--out", f"{out}/report"],
    ]


def test_without_a_limit_all_is_asked_by_one_thread_each(world: World, tmp_path: Path) -> None:
    assert started("--out", str(tmp_path / "out"))[0] == 0
    assert world.steps[0] == ("start", "matcha", "matcha.log", ("--threads", "1"))
    assert world.steps[4] == replayed(tmp_path / "out", "tallyqa", "tallyqa", "qwen_vl", "--lens")


@pytest.mark.parametrize(
    ("where", "trouble", "code", "words"),
    [
        ("qwen_vl", StartupError("qwen_vl exited with 3: see log"), 1, "see log"),
        ("run", subprocess.CalledProcessError(5, "run"), 5, "starting"),
        ("run", KeyboardInterrupt(), 130, "interrupted; the answers so far are in"),
        ("report", subprocess.CalledProcessError(4, "report"), 4, "starting"),
    ],
    ids=["no-service", "failed", "ctrl-c", "no-report"],
)
def test_what_goes_wrong_ends_it_with_the_services_stopped(
    world: World, tmp_path: Path, where: str, trouble: BaseException, code: int, words: str
) -> None:
    world.trouble[where] = trouble
    ended, output = started("--out", str(tmp_path / "out"))
    assert (ended, words in output) == (code, True), output
    begun = [step[1] for step in world.steps if step[0] == "start"]
    assert [step[1] for step in world.steps if step[0] == "stop"] == begun[::-1]


def test_a_folder_in_use_is_refused_and_an_empty_one_taken(world: World, tmp_path: Path) -> None:
    assert started("--out", str(tmp_path))[0] == 0
    world.steps.clear()
    (tmp_path / "something").touch()
    code, output = started("--out", str(tmp_path))
    assert (code, "choose another folder" in output, world.steps) == (2, True, [])
