"""The command line as a user meets it: exit codes, messages, and what Ctrl-C and a kill leave behind."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from clients.replay.__main__ import app
from clients.replay.folder import RunFolder
from clients.replay.record import RunStatus
from tests.unit.replay.reading import read_outcomes
from tests.unit.replay.serving import Handler

Make = Callable[..., Any]


@pytest.fixture
def data(tallyqa: Make, tally: Make) -> Path:
    """Three hundred questions about three pictures."""
    folder = tallyqa([tally(number, image=f"VG_100K/{number % 3}.png") for number in range(300)])
    assert isinstance(folder, Path)
    return folder


def run_arguments(data: Path, url: str, out: Path, *more: str) -> list[str]:
    return ["run", "--task", "tallyqa", "--data", str(data), "--url", url, "--out", str(out), *more]


def test_run_then_report(data: Path, url: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, run_arguments(data, url, tmp_path / "run", "--limit", "6"))
    assert result.exit_code == 0, result.output
    assert "6 answered, 0 failed" in result.output
    result = CliRunner().invoke(app, ["report", str(tmp_path / "run"), "--out", str(tmp_path / "report")])
    assert result.exit_code == 0, result.output
    assert "100.0" in result.output
    assert (tmp_path / "report" / "index.html").is_file()
    assert (tmp_path / "report" / "report.json").is_file()


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["report"],
        ["run", "--task", "chartqa", "--data", ".", "--url", "http://x", "--out", "o"],
        ["run", "--task", "tallyqa", "--data", ".", "--url", "http://x", "--out", "o", "--split", "dev"],
        ["run", "--task", "tallyqa", "--data", ".", "--url", "http://x", "--out", "o", "--concurrency", "0"],
    ],
    ids=["no-options", "no-runs", "unknown-task", "unknown-split", "no-workers"],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2


def test_what_cannot_be_done_is_exit_code_1_and_a_sentence(data: Path, url: str, tmp_path: Path) -> None:
    for arguments, words in [
        (run_arguments(tmp_path / "nowhere", url, tmp_path / "run"), "not a folder"),
        (run_arguments(data, "http://127.0.0.1:1", tmp_path / "run"), "Is it running?"),
        (run_arguments(data, "no url", tmp_path / "run"), "URL"),
        (["report", str(tmp_path), "--out", str(tmp_path / "report")], "holds no run"),
    ]:
        result = CliRunner().invoke(app, arguments)
        assert (result.exit_code, words in result.output, "Traceback" in result.output) == (1, True, False), arguments


def test_a_run_in_which_everything_fails_is_exit_code_1(
    data: Path, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Handler, "status", 500)
    result = CliRunner().invoke(app, run_arguments(data, url, tmp_path / "run", "--limit", "4"))
    assert result.exit_code == 1
    assert "All 4 questions failed" in result.output


def start(data: Path, url: str, out: Path) -> subprocess.Popen[str]:
    """A run in a process of its own, some outcomes in."""
    command = [sys.executable, "-m", "clients.replay", *run_arguments(data, url, out, "--concurrency", "1")]
    process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    outcomes, deadline = out / "outcomes.jsonl", time.monotonic() + 60
    while time.monotonic() < deadline and not (outcomes.exists() and outcomes.read_bytes().count(b"\n") > 5):
        time.sleep(0.02)
    return process


@pytest.mark.slow
def test_ctrl_c_ends_it_cleanly(data: Path, url: str, tmp_path: Path) -> None:
    process = start(data, url, tmp_path / "run")
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "`report` reads it" in output
    assert "Traceback" not in output
    assert RunFolder(tmp_path / "run").read_record().status is RunStatus.INTERRUPTED
    outcomes = read_outcomes(tmp_path / "run" / "outcomes.jsonl")
    assert 5 < len(outcomes.scored) < 300
    assert (outcomes.failed, outcomes.torn) == ((), 0)


@pytest.mark.slow
def test_a_kill_leaves_what_was_answered(data: Path, url: str, tmp_path: Path) -> None:
    process = start(data, url, tmp_path / "run")
    process.kill()
    process.communicate(timeout=60)
    assert RunFolder(tmp_path / "run").read_record().status is RunStatus.RUNNING
    assert 5 < len(read_outcomes(tmp_path / "run" / "outcomes.jsonl").scored) < 300
    result = CliRunner().invoke(app, ["report", str(tmp_path / "run"), "--out", str(tmp_path / "report")])
    assert result.exit_code == 0, result.output
