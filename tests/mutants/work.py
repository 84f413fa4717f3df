"""Run mutmut on one group, in a copy of the checkout under ``build/mutants``."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.mutants.groups import ROOT, Group

_BEGUN: Final = "Running mutation testing"
"""Printed by mutmut once all mutants are generated."""

_STOPS_WITHIN_S: Final = 20.0

CORES: Final = len(os.sched_getaffinity(0))

# Lines that contain only text for people, which tests need not check.
_WORDS_ALONE: Final = [r"raise \w+", r"""^\s*[fr]?"[^"]* [^"]*"[,)]*$""", r"\blog(ger)?\.\w+\("]


def folder(group: Group) -> Path:
    """Where a group's mutants are stored between runs, so that only changed code is tried again."""
    return ROOT / "build" / "mutants" / group.name


def prepare(group: Group) -> None:
    """Bring the group's copy of the checkout up to date."""
    here = folder(group)
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    tracked = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    kernel = "services/matcha/attention/kernel.so"  # built, not tracked; tests load it from here
    for name in [*filter(None, tracked.split("\0")), kernel]:
        source, copy = ROOT / name, here / name
        if source.exists() and not _same(source, copy):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy)
    _write_if_changed(here / "pyproject.toml", (ROOT / "pyproject.toml").read_text(encoding="utf-8") + _settings(group))


def run(group: Group, names: Sequence[str], limit_s: float) -> None:
    """Try the group's mutants, or those matching the patterns, within the time limit.

    mutmut's output goes to ``mutmut.log`` in the group's folder. Exits if the tests fail without mutations.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    mutmut = Path(sys.executable).with_name("mutmut")
    command = [str(mutmut), "run", "--max-children", str(CORES), *names]
    log = folder(group) / "mutmut.log"
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(command, cwd=folder(group), stdout=out, stderr=subprocess.STDOUT, env=environment)
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            _stop(process)
            if _BEGUN not in log.read_text(encoding="utf-8", errors="replace"):
                shutil.rmtree(folder(group) / "mutants", ignore_errors=True)  # it may contain half a module
            return
    if code:
        message = f"mutmut stopped with {code}: the tests of {group.name} must pass unchanged; see {log}"
        raise SystemExit(message)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_STOPS_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _settings(group: Group) -> str:
    """Settings for mutmut, as TOML."""
    lists = {
        "source_paths": ["services", "clients", "benchmarks", "loadtests", "imaging"],
        "only_mutate": group.files,
        "also_copy": ["models", "docker", "k8s", "README.md", "Makefile", "constraints.txt"],
        "pytest_add_cli_args_test_selection": list(group.tests),
        "pytest_add_cli_args": ["-p", "no:cacheprovider", "-m", "not slow"],
        "do_not_mutate_patterns": _WORDS_ALONE,
    }
    lines = [f"{name} = [{', '.join(_literal(value) for value in values)}]" for name, values in lists.items()]
    return "\n".join(["", "[tool.mutmut]", 'process_isolation = "forkserver"', *lines, ""])


def _literal(text: str) -> str:
    return f"'''{text}'''"


def _same(source: Path, copy: Path) -> bool:
    if not copy.exists():
        return False
    left, right = source.stat(), copy.stat()
    return (left.st_size, left.st_mtime_ns) == (right.st_size, right.st_mtime_ns)


def _write_if_changed(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
