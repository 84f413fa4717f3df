"""Other environments: Optimum's, other people's clients and tools, and one for a variant without torch."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def environment(name: str) -> Path:
    """The folder that ``make NAME-env`` builds; required in CI."""
    folder = ROOT / f".venv-{name}"
    if not (folder / "installed").exists():
        message = f"{folder.name} is missing: run make {name}-env"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def optimum_python() -> Path:
    return environment("optimum") / "bin/python"


@pytest.fixture(scope="session")
def torch_free_python() -> Path:
    return environment("torch-free") / "bin/python"


@pytest.fixture(scope="session")
def chat_clients_python() -> Path:
    return environment("chat-clients") / "bin/python"


@pytest.fixture(scope="session")
def load_generators_python() -> Path:
    return environment("load-generators") / "bin/python"


@pytest.fixture(scope="session")
def openapi_clients_python() -> Path:
    return environment("openapi-clients") / "bin/python"


@pytest.fixture(scope="session")
def typescript() -> Path:
    """The folder ``node_modules`` with TypeScript's compiler and the generator of its types."""
    return environment("typescript") / "node_modules"


def output_of(python: Path, *arguments: str, cwd: Path = ROOT) -> str:
    """Standard output of another interpreter, with its own packages and without network access."""
    ended = subprocess.run(
        [str(python), *arguments],
        cwd=cwd,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout
