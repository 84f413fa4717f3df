"""Shared fixtures: a clean environment, small images, and the two services, each started once per session."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image, ImageDraw
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from clients.launcher import Service, running
from tests.images import encode

if TYPE_CHECKING:
    from services.matcha.prepare.export import GraphExport

signal.signal(signal.SIGINT, signal.default_int_handler)  # a run in the background ignores it, and its children would
TINY_MATCHA = Path(__file__).parents[1] / "models/tiny-matcha"
SAMPLES = Path(__file__).parents[1] / "clients/samples"
OPTIONS = ("--threads", "1", "--objective-ms", "350")


class Scheduling(LoadScopeScheduling):  # type: ignore[misc] # it has no type hints
    """Which tests one process runs in turn, where several run at once: those of a file, and outside unit/ of a folder.

    What a folder's tests share is then built once, and nothing that has a fixed name or a time to keep is there twice.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        folder = path.removeprefix("tests/").partition("/")[0]
        return path if folder == "unit" else folder


@pytest.hookimpl(optionalhook=True)  # there is none without pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    config.option.loadscopereorder = False  # in the order of the folders: the longest, deploy, is the first
    return Scheduling(config, log)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove settings of the machine from the environment."""
    for name in list(os.environ):
        if name.startswith(("MATCHA_", "QWEN_VL_", "OTEL_", "TALLYGLASS_API_KEY")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def png() -> bytes:
    """An image that every service accepts."""
    image = Image.new("RGB", (224, 160), "white")
    ImageDraw.Draw(image).rectangle((40, 60, 80, 150), fill="blue")
    return encode(image)


@pytest.fixture(scope="session")
def matcha(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The MatCha service on the embedded model."""
    with running("matcha", tmp_path_factory.mktemp("matcha") / "log", *OPTIONS) as service:
        yield service


@pytest.fixture(scope="session")
def qwen_vl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The Qwen2-VL service on the embedded model."""
    with running("qwen_vl", tmp_path_factory.mktemp("qwen_vl") / "log", *OPTIONS) as service:
        yield service


@pytest.fixture(params=["matcha", "qwen_vl"])
def service(request: pytest.FixtureRequest) -> Service:
    """Each service in turn, for behaviour they must share."""
    either: Service = request.getfixturevalue(request.param)
    return either


def prepare(variant: str, out: Path, graphs: Path) -> None:
    """Prepare the embedded MatCha in this process: one of its own would spend its seconds importing torch.

    What int8 graphs are made of is copied from ``graphs``: exporting takes most of a minute, and gives the same again.
    """
    from pydantic_settings import CliApp  # noqa: PLC0415 as the next one

    from services.matcha.prepare import command, weights  # noqa: PLC0415 torch, which most tests run without

    def exported(graph: "GraphExport", folder: Path, _: object) -> None:
        for name in (graph.name, "model.onnx.data"):
            shutil.copyfile(graphs / name, folder / name)

    options = ["--variant", variant, "--out", str(out)]
    if variant == "openvino-int8":
        options += ["--calibration", str(SAMPLES / "realcqa")]
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the quantizers warn; so does the command
        patch.setattr(weights, "export", exported)
        CliApp.run(command.Prepare, cli_args=[str(TINY_MATCHA), *options])


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The embedded MatCha prepared as a variant, each once for all tests, in whichever process they run."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "artifacts"
    root.mkdir(exist_ok=True)

    @cache
    def prepared(variant: str) -> Path:
        out = root / variant
        graphs = prepared("onnx-fp32") if variant in {"onnx-int8", "openvino-int8"} else out
        with (root / f"{variant}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # until another process has prepared it
            if out.exists():  # and so is whole
                return out
            if variant == "onnx-fp32":  # as a user runs it, with a real export
                command = [sys.executable, "-m", "services.matcha", "prepare", str(TINY_MATCHA)]
                subprocess.run([*command, "--variant", variant, "--out", str(out)], check=True)
            else:
                prepare(variant, out, graphs)
        return out

    return prepared
