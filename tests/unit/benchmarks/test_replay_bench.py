"""The benchmark's synthetic data are as described, and its measurements are checked against their bars."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.replay import measure
from benchmarks.replay.noop import ANSWER
from benchmarks.replay.peak import peak_mib
from benchmarks.replay.synthetic import LAYERS, write_realcqa, write_run, write_tallyqa
from clients.replay.run.folder import RunFolder
from services.wire.answer import AnswerResponse
from tests.unit.replay.reading import columns_of, load, read_outcomes


@pytest.mark.parametrize(("task", "layers"), [("tallyqa", LAYERS), ("realcqa", None)])
def test_a_made_up_run_reads_as_one(task: str, layers: int | None, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_run(tmp_path / name, task, 60, seed)
    run = columns_of(tmp_path / "a")
    assert (run.n, run.failed, run.torn) == (60, 0, 0)
    assert RunFolder(tmp_path / "a").read_record().selection.questions == 60
    outcomes = read_outcomes(tmp_path / "a" / "outcomes.jsonl").scored
    assert {len(outcome.lens.layers) if outcome.lens else None for outcome in outcomes} == {layers}
    same, other = ((tmp_path / name / "outcomes.jsonl").read_bytes() for name in "bc")
    assert (tmp_path / "a" / "outcomes.jsonl").read_bytes() == same != other


def test_made_up_splits_have_as_many_questions_and_images_as_asked_for(tmp_path: Path) -> None:
    write_tallyqa(tmp_path / "tallyqa", 50, 4, seed=1)
    loaded = load("tallyqa", tmp_path / "tallyqa", "train")
    assert (len(loaded.samples), len({sample.image_key for sample in loaded.samples}), loaded.problems) == (50, 4, ())
    write_realcqa(tmp_path / "realcqa", 5, 17)
    loaded = load("realcqa", tmp_path / "realcqa")
    assert (len(loaded.samples), loaded.problems) == (17, ())
    assert sorted(Counter(sample.image_key for sample in loaded.samples).values()) == [3, 3, 3, 4, 4]


def test_the_no_op_service_s_answer_is_the_contract_s() -> None:
    lens = AnswerResponse.model_validate_json(ANSWER).lens
    assert lens is not None
    assert [layer.layer for layer in lens.steps[0].layers] == list(range(LAYERS))


def test_the_overhead_is_what_a_replay_takes_more_than_bare_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare: list[tuple[str, bytes, int]] = []

    def half_a_second_less(url: str, body: bytes, requests: int) -> float:
        bare.append((url, body, requests))
        return -0.5

    monkeypatch.setattr(measure, "_bare_s", half_a_second_less)
    (measurement,) = measure.overhead(tmp_path, pairs=1, requests=4)
    assert 500 / 4 < measurement.value < 500 / 4 + 1000
    assert (measurement.unit, measurement.bar, bare[0][2]) == ("ms", 5, 4)
    assert len(json.loads(bare[0][1])["image"]) == 80_000, "60 kB in base64"


def test_outcomes_that_differ_after_kills_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = {"undisturbed": ["a", "b", "c", "d"], "killed": ["a", "a", "b", "x"]}
    monkeypatch.setattr(measure, "_kill_later", lambda *_: None)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: None)
    monkeypatch.setattr(measure, "_lines", lambda folder: lines[folder.name])
    (measurement,) = measure.kills(tmp_path, times=2, questions=9)
    assert (measurement.value, measurement.holds, measurement.n) == (4, False, 4), "c and d lost, x altered, a repeated"


def test_the_peak_is_the_process_s_own_and_the_module_s_end_is_its_own(tmp_path: Path) -> None:
    assert 10 < peak_mib() < 100_000
    write_tallyqa(tmp_path, 50, 4, seed=1)
    command: list[Any] = [sys.executable, "-m", "benchmarks.replay.peak", "benchmarks.replay.walk", "tallyqa"]
    walked = subprocess.run([*command, tmp_path, "train"], capture_output=True, text=True, check=False)
    assert walked.returncode == 0, walked.stderr
    assert 10 < float(walked.stderr.split()[-1]) < 1000
