"""The help of every command, as a newcomer reads it on a terminal of 80 columns."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Final

import pytest

from services.common.cpu import WORKER_ENVIRONMENT

pytestmark = pytest.mark.slow

COMMANDS: Final = (
    *("services.matcha", "services.matcha prepare", "services.matcha inspect"),
    *("services.qwen_vl", "services.qwen_vl prepare", "services.qwen_vl inspect"),
    *("services.training", "clients.replay", "clients.demo", "loadtests"),
    *(["tests.mutants"] if find_spec("mutmut") else []),  # which `make mutants` installs
    *("benchmarks", "benchmarks.matcha", "benchmarks.qwen_vl", "benchmarks.replay", "benchmarks.torch_cpu"),
)
PRINTING: Final = """if True:
    import io, json, re, runpy, sys
    from contextlib import redirect_stdout, suppress

    def shown(command):
        module, *arguments = command.split()
        sys.argv = [module, *arguments, "--help"]
        written = io.TextIOWrapper(io.BytesIO(), sys.stdout.encoding, write_through=True)
        with redirect_stdout(written), suppress(SystemExit):
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        return written.buffer.getvalue().decode()

    helps, left = {}, sys.argv[1:]
    while left:
        command = left.pop(0)
        helps[command] = shown(command)
        _, _, group = helps[command].partition("\\nCommands:\\n")
        left += [f"{command} {name}" for name in re.findall("^  ([a-z-]+)", group, re.MULTILINE)]
    print(json.dumps(helps))
"""
"""One process, as each would import the same for seconds. Every help is written to a stream of the same encoding."""

UNIT: Final = re.compile(
    "(in|many|few) (seconds|minutes|bytes|pixels|tokens)|per second|from 0 to 1|"
    r"\b(port|seed|threads|retries|pixels|tokens|patches|readings|images?|questions|requests|connections|answers|outcomes|pairs|timings|count)\b",
    re.IGNORECASE,
)


@pytest.fixture(scope="module")
def helps() -> dict[str, str]:
    """By command, those of groups included. In ASCII, which an output must not fail on."""
    plain = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    environment = {**os.environ, **plain, **WORKER_ENVIRONMENT, "COLUMNS": "80"}  # a benchmark starts itself anew in it
    printed = subprocess.run(
        [sys.executable, "-c", PRINTING, *COMMANDS], capture_output=True, text=True, check=True, env=environment
    )
    found: dict[str, str] = json.loads(printed.stdout)
    assert len(found) > len(COMMANDS) + 15
    return found


def options(text: str) -> Iterator[tuple[str, str]]:
    """Each option's name and all that is said of it."""
    _, _, listed = re.split(r"^(options|Options):$", text, maxsplit=1, flags=re.MULTILINE)
    for entry in re.split(r"\n  (?=-)", listed.partition("\nCommands:")[0]):
        if name := re.search(r"--[a-z0-9-]+", entry):
            yield name[0], " ".join(entry.split())


def test_usage_has_the_name_of_the_command(helps: dict[str, str]) -> None:
    for command, text in helps.items():
        usage = re.search(r"^usage: (.*)", text, re.MULTILINE | re.IGNORECASE)
        assert usage, command
        assert usage[1].startswith(f"python -m {command} ["), command


def test_it_fits_the_terminal(helps: dict[str, str]) -> None:
    for command, text in helps.items():
        long = [
            line for line in text.splitlines() if len(line) > 80 and " " in line.strip().removeprefix("[--variant ")
        ]
        assert not long, command  # but for a list of names in one piece
        assert "…" not in text, command  # the names of options are whole


def test_a_number_has_a_unit_and_its_default(helps: dict[str, str]) -> None:
    numbers = 0
    for command, text in helps.items():
        for name, entry in options(text):
            if re.search(r"--\S+ <?(int|float)\b", entry):
                numbers += 1
                assert UNIT.search(entry.partition(name)[2]), (command, name)
                assert "default" in entry, (command, name)
    assert numbers > 50


def test_a_service_names_each_environment_variable(helps: dict[str, str]) -> None:
    for service, prefix in (("matcha", "MATCHA"), ("qwen_vl", "QWEN_VL")):
        listed = dict(options(helps[f"services.{service}"]))
        del listed["--help"]
        for name, entry in listed.items():
            assert f"[{prefix}_{name[2:].upper().replace('-', '_')}]" in entry
        assert re.search(r"\(default: \d+\)", listed["--threads"])


@pytest.mark.parametrize(
    ("script", "module"),
    [
        ("tallyglass-matcha", "services.matcha"),
        ("tallyglass-qwen-vl", "services.qwen_vl"),
        ("tallyglass-replay", "clients.replay"),
    ],
)
def test_a_script_is_named_as_it_was_typed(
    script: str, module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "__package__", None)  # pytest's: click would name its module
    for command in ("prepare", "inspect") if "services" in module else ("run",):
        monkeypatch.setattr("sys.argv", [f"/usr/bin/{script}", command, "--help"])
        with pytest.raises(SystemExit):
            import_module(f"{module}.__main__").main()
        assert f"sage: {script} {command} [" in capsys.readouterr().out
