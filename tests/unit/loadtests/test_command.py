"""The command line: the requested load tests are run, and each run has its own row."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from loadtests import __main__ as command
from loadtests.errors import LoadTestError
from loadtests.results.summary import Summary
from loadtests.run import Plan
from tests.unit.loadtests.making import folder_of, result
from tests.unit.loadtests.results.test_table import FIRST


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """Records what would have been run, in order; a run of the variant ``bf16`` fails."""
    planned: list[Plan] = []

    def run(plan: Plan) -> Summary:
        planned.append(plan)
        variant = plan.service_options[1]
        if variant == "bf16":
            message = "this processor has no bfloat16"
            raise LoadTestError(message)
        plan.out.mkdir(parents=True)
        return replace(FIRST, name=plan.out.name, variant=variant, answered=len(planned))

    monkeypatch.setattr(command, "run", run)
    return planned


def _invoke(*arguments: str) -> Result:
    done = CliRunner().invoke(command.app, arguments)
    assert done.exit_code == 0, done.output
    return done


def test_a_run_is_planned_as_it_is_asked_for(plans: list[Plan], tmp_path: Path) -> None:
    out = tmp_path / "out"
    _invoke(
        *("run", "--service", "qwen_vl", "--profile", "steady", "--variant", "int8", "--url", "http://there"),
        *("--data", "some/data", "--model", "some/model", "--threads", "3", "--set", "rate_per_s=20"),
        *("--set", "lens=true", "--out", str(out), "--", "--processes", "2"),
    )
    (plan,) = plans
    assert (plan.service, plan.url, plan.data, plan.out) == ("qwen_vl", "http://there", Path("some/data"), out)
    assert (plan.profile.name, plan.profile.rate_per_s, plan.profile.lens) == ("steady", 20, True)
    assert plan.service_options == ("--variant", "int8", "--model", "some/model", "--threads", "3")
    assert plan.locust_options == ("--headless", "--processes", "2")
    measurements = json.loads((out / "figures.json").read_text())
    assert measurements[0]["how"] == "make load SERVICE=qwen_vl PROFILE=steady"


def test_locusts_page_is_this_machines_alone(plans: list[Plan], tmp_path: Path) -> None:
    _invoke("run", "--service", "matcha", "--variant", "fp32", "--page", "--out", str(tmp_path / "out"))
    options = plans[0].locust_options
    assert "--headless" not in options
    assert options[options.index("--web-host") + 1] == "127.0.0.1"


def test_variants_are_loaded_in_turn_with_the_same_profile_each_in_its_column(
    plans: list[Plan], tmp_path: Path
) -> None:
    variants = ["fp32", "bf16", "onnx-int8=artifacts/a", "int8"]
    done = _invoke("variants", *variants, "--profile", "steady", "--threads", "2", "--out", str(tmp_path))
    assert [plan.service_options for plan in plans] == [
        ("--variant", "fp32", "--threads", "2"),
        ("--variant", "bf16", "--threads", "2"),
        ("--variant", "onnx-int8", "--model", "artifacts/a", "--threads", "2"),
        ("--variant", "int8", "--threads", "2"),
    ]
    assert [plan.out for plan in plans] == [tmp_path / name for name in ("fp32", "bf16", "onnx-int8", "int8")]
    assert len({id(plan.profile) for plan in plans}) == 1
    assert "bf16 is skipped: this processor has no bfloat16" in done.output
    measurements = {each["figure"]: each["value"] for each in json.loads((tmp_path / "figures.json").read_text())}
    failed = [measurements[f"failed: matcha {variant}, steady"] for variant in ("fp32", "onnx-int8", "int8")]
    assert failed == [400 - 1, 400 - 3, 400 - 4]
    assert "failed: matcha bf16, steady" not in measurements


@pytest.mark.usefixtures("plans")
def test_without_any_variant_that_can_be_loaded_there_is_no_table(tmp_path: Path) -> None:
    done = CliRunner().invoke(command.app, ["variants", "bf16", "--out", str(tmp_path)])
    assert isinstance(done.exception, LoadTestError)
    assert str(done.exception) == "no variant could be loaded"


def test_a_table_shows_runs_as_they_were_named_and_warns_of_the_saturated_one(tmp_path: Path) -> None:
    calm = folder_of(tmp_path / "calm", [result(0, 80)])
    late = folder_of(tmp_path / "late", [result(0, 80, lag_ms=70)])
    output = _invoke("table", str(late), str(calm)).output
    header = next(line for line in output.splitlines() if "calm" in line)
    assert header.index("late") < header.index("calm")
    assert [line.split(":")[0] for line in output.splitlines() if "was saturated" in line] == ["late"]
