"""The README's examples, run as a reader would run them."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from clients.launcher import Service

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES: list[tuple[str, str]] = re.findall(r"```console\n\$ (curl .*)\n([^`]*)```", README)


def assert_like(actual: Any, shown: Any, path: str = "") -> None:
    """Equal except for what varies: ids, times and digits that the README rounds."""
    if path.endswith("_ms"):
        assert actual >= 0
    elif isinstance(shown, dict):
        assert list(actual) == list(shown), path
        for name in shown:
            assert_like(actual[name], shown[name], f"{path}.{name}")
    elif isinstance(shown, list):
        assert len(actual) == len(shown), path
        for index, (one, other) in enumerate(zip(actual, shown, strict=True)):
            assert_like(one, other, f"{path}[{index}]")
    elif isinstance(shown, float):
        assert actual == pytest.approx(shown, rel=0.02, abs=0.002), path
    elif path == ".id":
        assert re.fullmatch(r"ans-[0-9a-f]{32}", actual)
    else:
        assert actual == shown, path


@pytest.mark.parametrize(("command", "shown"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_prints_what_the_readme_shows(command: str, shown: str, matcha: Service, qwen_vl: Service) -> None:
    command = command.replace("http://127.0.0.1:8000", matcha.url).replace("http://127.0.0.1:8001", qwen_vl.url)
    ended = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)  # noqa: S602 it is our own README
    assert_like(json.loads(ended.stdout), json.loads(shown))


def test_there_are_examples_of_both_services() -> None:
    commands = " ".join(command for command, _ in EXAMPLES)
    assert ":8000/" in commands
    assert ":8001/" in commands


@pytest.mark.parametrize("name", ["tiny-matcha", "tiny-qwen2-vl"])
def test_the_table_of_models_tells_what_was_measured(name: str) -> None:
    raw = json.loads((ROOT / "models" / name / "eval.json").read_text(encoding="utf-8"))
    if name == "tiny-matcha":
        score = sum(kind["exact_match"] for kind in raw["held_out"]) / len(raw["held_out"])
    else:
        score = raw["results"]["overall"]["accuracy"]
    row = next(line for line in README.splitlines() if line.startswith(f"| [{name}]"))
    assert f"{score:.1f} %" in row
