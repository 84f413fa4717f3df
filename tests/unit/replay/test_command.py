"""The command line: exit codes, messages, and the state after Ctrl-C and a kill."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from typer.testing import CliRunner

from clients.replay.__main__ import app
from clients.replay.run.folder import RunFolder
from clients.replay.run.record import RunStatus
from clients.replay.tasks.criteria import Criteria
from tests.unit.replay.reading import read_outcomes
from tests.unit.replay.serving import Handler

Make = Callable[..., Any]


@pytest.fixture
def data(tallyqa: Make, tally: Make) -> Path:
    """Three hundred questions about three images."""
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


def test_every_option_reaches_the_run(data: Path, url: str, tmp_path: Path, asked: list[dict[str, Any]]) -> None:
    options = {
        "--concurrency": "3",
        "--max-patches": "64",
        "--max-new-tokens": "20",
        "--timeout-s": "7.5",
        "--retries": "4",
        "--prompt": "{question} Now!",
        "--seed": "9",
        "--limit": "2",
        "--shard": "1/2",
        "--max-answer": "6",
        "--question-type": "COUNT",
        "--picture-share": "0.9",
        "--split": "test",
    }
    flags = ["--simple-only", "--one-question-per-image", "--lens"]
    given = [part for option in options.items() for part in option]
    result = CliRunner().invoke(app, run_arguments(data, url, tmp_path / "run", *given, *flags))
    assert result.exit_code == 0, result.output
    record = RunFolder(tmp_path / "run").read_record()
    assert (record.concurrency, record.max_patches, record.max_new_tokens, record.lens) == (3, 64, 20, True)
    assert (record.timeout_s, record.retries, record.prompt, record.url) == (7.5, 4, "{question} Now!", url)
    told = record.selection.model_dump(include=set(Criteria.model_fields), exclude={"protocol", "note"})
    assert told == {
        "split": "test",
        "simple_only": True,
        "max_answer": 6,
        "question_types": ("count",),
        "picture_share": 0.9,
        "one_question_per_image": True,
        "limit": 2,
        "seed": 9,
    }
    assert record.shard is not None
    assert (record.shard.index, record.shard.count) == (1, 2)
    (_, body) = asked
    assert (body["max_patches"], body["max_new_tokens"], body["question"][-5:]) == (64, 20, " Now!")


def test_what_is_not_given_is_two_at_a_time_with_patience_and_without_a_lens(
    data: Path, url: str, tmp_path: Path
) -> None:
    assert CliRunner().invoke(app, run_arguments(data, url, tmp_path / "run", "--limit", "1")).exit_code == 0
    record = RunFolder(tmp_path / "run").read_record()
    assert (record.concurrency, record.timeout_s, record.retries, record.prompt) == (2, 120, 5, "{question}")
    assert (record.lens, record.max_patches, record.max_new_tokens, record.shard) == (False, None, None, None)
    assert (
        record.selection.model_dump(include=set(Criteria.model_fields)) == Criteria(split="test", limit=1).model_dump()
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["merge"],
        ["report"],
        ["run", "--task", "chartqa", "--data", ".", "--url", "http://x", "--out", "o"],
        ["run", "--task", "tallyqa", "--data", ".", "--url", "http://x", "--out", "o", "--split", "dev"],
    ],
    ids=["no-options", "no-shards", "no-runs", "unknown-task", "unknown-split"],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2


@pytest.mark.parametrize(
    ("option", "taken", "refused"),
    [
        ("--concurrency", ["1", "256"], ["0", "257"]),
        ("--limit", ["1"], ["0"]),
        ("--max-answer", ["0"], ["-1"]),
        ("--picture-share", ["0", "1"], ["-0.1", "1.1"]),
        ("--max-patches", ["1"], ["0"]),
        ("--max-new-tokens", ["1"], ["0"]),
        ("--timeout-s", ["0.1"], ["0"]),
        ("--retries", ["0"], ["-1"]),
    ],
)
def test_numbers_are_taken_up_to_their_bounds(
    option: str, taken: list[str], refused: list[str], tmp_path: Path
) -> None:
    for values, code in ((taken, 1), (refused, 2)):  # 1: there is no such dataset
        for value in values:
            arguments = run_arguments(tmp_path / "nowhere", "http://127.0.0.1:1", tmp_path / "run", option, value)
            assert CliRunner().invoke(app, arguments).exit_code == code, value


def test_an_error_is_exit_code_1_and_one_message(data: Path, url: str, tmp_path: Path) -> None:
    for arguments, words in [
        (run_arguments(tmp_path / "nowhere", url, tmp_path / "run"), "not a folder"),
        (run_arguments(data, "http://127.0.0.1:1", tmp_path / "run"), "Is the service running?"),
        (run_arguments(data, "no url", tmp_path / "run"), "URL"),
        (["report", str(tmp_path), "--out", str(tmp_path / "report")], "is not a run folder"),
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


def test_failed_questions_are_asked_again_on_resume_only_with_retry_failed(
    data: Path, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def outcome(*more: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, run_arguments(data, url, tmp_path / "run", "--limit", "4", *more))
        return result.exit_code, result.output

    with monkeypatch.context() as patched:
        patched.setattr(Handler, "status", 500)
        outcome()
    for more, code, words in (
        ([], 1, "already contains a run"),
        (["--retry-failed"], 1, "already contains a run"),
        (["--resume"], 0, "0 answered, 0 failed (4 done earlier), in "),
        (["--resume", "--retry-failed"], 0, "4 answered, 0 failed, in "),
        (["--resume", "--retry-failed"], 0, "0 answered, 0 failed (4 done earlier), in "),
    ):
        ended, output = outcome(*more)
        assert (ended, words in output) == (code, True), (more, output)


def test_a_resumed_run_fails_only_if_the_whole_run_has_no_answer(
    data: Path, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Kubernetes Job that resumes would else never complete where the images that are left are broken."""

    def outcome(run: str, *more: str, status: int = 422) -> tuple[int, str]:
        monkeypatch.setattr(Handler, "status", status)
        result = CliRunner().invoke(app, run_arguments(data, url, tmp_path / run, "--limit", "4", "--resume", *more))
        return result.exit_code, result.output

    def cut(run: str, lines: int) -> None:
        path = tmp_path / run / "outcomes.jsonl"
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:lines]))

    assert outcome("a", status=200)[0] == 0
    cut("a", 1)
    for more, words in (
        ((), "0 answered, 3 failed (1 done earlier)"),
        ((), "0 answered, 0 failed (4 done earlier)"),
        (("--retry-failed",), "0 answered, 3 failed (1 done earlier)"),
    ):
        code, output = outcome("a", *more)
        assert (code, words in output) == (0, True), output
    assert outcome("b")[0] == 1
    cut("b", 1)
    code, output = outcome("b")
    assert (code, "All 4 questions failed" in output) == (1, True), output
    cut("b", 2)
    assert outcome("b", status=200)[0] == 0
    code, output = outcome("none", "--shard", "9/10")
    assert (code, "0 answered, 0 failed, in" in output) == (0, True), output


def test_ctrl_c_is_exit_code_130_and_says_how_to_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr("clients.replay.__main__.run", stopped)
    result = CliRunner().invoke(app, run_arguments(tmp_path, "http://127.0.0.1:1", tmp_path / "run"))
    assert result.exit_code == 130
    assert f"The answers so far are in {tmp_path / 'run'}" in result.output


def start(data: Path, url: str, out: Path) -> subprocess.Popen[str]:
    """A run in a separate process, with some outcomes written."""
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
    assert "`report` reads them" in output
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
