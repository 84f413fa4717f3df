"""Other environments: Optimum's, other people's clients and tools, and one for a variant without torch."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def environment(name: str, target: str) -> Path:
    """The interpreter of an environment built by a make target; required in CI."""
    python = ROOT / name / "bin/python"
    if not (ROOT / name / "installed").exists():
        if os.environ.get("CI"):
            pytest.fail(f"{name} is missing: run make {target}")
        pytest.skip(f"{name} is missing: run make {target}")
    return python


@pytest.fixture(scope="session")
def optimum_python() -> Path:
    return environment(".venv-optimum", "optimum-env")


@pytest.fixture(scope="session")
def torch_free_python() -> Path:
    return environment(".venv-torch-free", "torch-free-env")


@pytest.fixture(scope="session")
def chat_clients_python() -> Path:
    return environment(".venv-chat-clients", "chat-clients-env")


@pytest.fixture(scope="session")
def load_generators_python() -> Path:
    return environment(".venv-load-generators", "load-generators-env")


@pytest.fixture(scope="session")
def openapi_clients_python() -> Path:
    return environment(".venv-openapi-clients", "openapi-clients-env")


@pytest.fixture(scope="session")
def typescript() -> Path:
    """The folder ``node_modules`` with TypeScript's compiler and the generator of its types."""
    return environment(".venv-typescript", "typescript-env").parents[1] / "node_modules"


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
