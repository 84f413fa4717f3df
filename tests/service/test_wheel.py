"""The project installed as a wheel, away from the checkout."""

import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import PathDistribution
from pathlib import Path

import httpx
import pytest

from clients.launcher import launched

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked as an installer would."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name in ("services", "clients", "benchmarks", "loadtests", "imaging", "models"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    options = ("--no-index", "--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(folder))
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(source)], check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.mark.slow
def test_its_commands_find_the_embedded_models(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(installed))
    monkeypatch.setenv("PYTHONSAFEPATH", "1")  # this folder is not searched
    (metadata,) = installed.glob("*.dist-info")
    scripts = PathDistribution(metadata).entry_points.select(group="console_scripts")
    assert {script.name for script in scripts} == {"tallyglass-matcha", "tallyglass-qwen-vl", "tallyglass-replay"}
    for script in scripts:
        said = _python(_calling(script.value), "--version")
        assert said == f"tallyglass {PathDistribution(metadata).version}\n"
    found = _python("import services.matcha; print(services.matcha.__file__)")
    assert Path(found.strip()).is_relative_to(installed)
    serve = [sys.executable, "-c", _calling(next(script.value for script in scripts if "qwen" in script.name))]
    with launched("qwen_vl", serve, tmp_path / "log") as service:
        (card,) = httpx.get(f"{service.url}/v1/models", trust_env=False).json()["data"]
    assert card["id"] == "tallyglass/tiny-qwen2-vl"


def _calling(entry: str) -> str:
    """What the script of an entry point does."""
    module, function = entry.split(":")
    return f"import {module} as module; module.{function}()"


def _python(code: str, *arguments: str) -> str:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True).stdout
