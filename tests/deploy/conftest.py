"""What deployment tests require: a Docker engine, images, kubectl. Without them, tests are skipped; in CI they fail."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.containers import docker, missing
from tests.deploy.manifests import Manifests


@pytest.fixture(scope="session")
def engine() -> None:
    """A Docker engine that answers."""
    if shutil.which("docker") is None or docker("info", check=False).returncode:
        missing("no Docker engine answers")


@pytest.fixture(scope="session")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Manifests:
    """Every overlay, job and component, rendered."""
    if shutil.which("kubectl") is None:
        missing("no kubectl, which renders the manifests")
    folder = tmp_path_factory.mktemp("manifests")
    subprocess.run(["k8s/render", str(folder)], check=True)
    return Manifests.read(folder)


@pytest.fixture(scope="session", params=["written", "rendered"])
def either(request: pytest.FixtureRequest) -> Manifests:
    """Manifests in the repository and as rendered, for properties that must hold in both."""
    if request.param == "written":
        return Manifests.written(Path("k8s"))
    rendered: Manifests = request.getfixturevalue("manifests")
    return rendered


@pytest.fixture(scope="session")
def kube_play() -> Path:
    """Runs manifests in real containers: the commands ``up``, ``load IMAGE``, ``play`` and ``stop`` on stdin."""
    command = os.environ.get("KUBE_PLAY")
    if not command:
        missing("KUBE_PLAY names no command that plays manifests")
    return Path(command)
