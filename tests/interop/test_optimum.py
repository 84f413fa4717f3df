"""Both directions: Optimum's export is served unchanged, and Optimum loads our export and gives the same tokens."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from clients.launcher import running
from services.common.artifact.manifest import read_manifest
from services.matcha.backends import Hardware, onnx_backend
from services.matcha.backends.torch_backend import TorchBackend
from services.matcha.header import render_header
from services.matcha.header.fonts import load_font
from services.matcha.patches import Floats, flatten_patches
from tests.interop.conftest import output_of

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "models/tiny-matcha"
SAMPLE = ROOT / "clients/samples/realcqa"
CHARTS = 8


def asked() -> list[tuple[Path, str]]:
    """One question about each of the first charts of the bundled sample."""
    found = []
    for number, path in enumerate(sorted((SAMPLE / "qa").glob("*.json"))[:CHARTS]):
        blocks = json.loads(path.read_bytes())
        found.append((SAMPLE / "images" / f"{path.stem}.jpg", blocks[number % len(blocks)]["question"]))
    return found


def patches_of(path: Path, question: str) -> Floats:
    with Image.open(path) as image:
        return flatten_patches(render_header(image.convert("RGB"), question, load_font(None)), 90)


@pytest.fixture(scope="module")
def expected() -> list[list[int]]:
    """Tokens of the torch variant."""
    backend = TorchBackend(MODEL, Hardware(threads=1), "fp32")
    return [backend.generate([patches_of(*pair)], [16])[0] for pair in asked()]


@pytest.fixture(scope="module")
def exported(optimum_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output of ``optimum-cli export onnx`` for the embedded model."""
    out = tmp_path_factory.mktemp("optimum") / "exported"
    cli = "from optimum.commands.optimum_cli import main; main()"
    options = ["--task", "image-to-text-with-past", "--no-post-process"]
    output_of(optimum_python, "-c", cli, "export", "onnx", "--model", str(MODEL), *options, str(out), cwd=out.parent)
    return out


def sums(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_optimums_export_gives_the_same_tokens(exported: Path, expected: list[list[int]]) -> None:
    backend = onnx_backend.load(exported, Hardware(threads=1), "onnx-fp32")
    assert backend.fixed_patches == read_manifest(MODEL).max_patches
    images = [patches_of(*pair) for pair in asked()]
    assert [backend.generate([image], [16])[0] for image in images] == expected
    assert backend.generate(images[:3], [16] * 3) == expected[:3]


def test_optimums_export_serves_unchanged(exported: Path, tmp_path: Path) -> None:
    before = sums(exported)
    options = ("--model", str(exported), "--allow-unverified", "--threads", "1")
    with running("matcha", tmp_path / "log", *options) as service:
        image, question = asked()[0]
        with httpx.Client(base_url=service.url, trust_env=False, timeout=60) as client:
            files = {"image": image.read_bytes()}
            answer = client.post("/v1/answer", files=files, data={"question": question})
            refused = client.post("/v1/answer", files=files, data={"question": question, "max_patches": "91"})
        assert answer.json()["variant"] == "onnx-fp32"
        assert answer.json()["answer"]
        assert refused.status_code == 422
        assert "exported for 90" in refused.json()["error"]["message"]
    assert sums(exported) == before


def test_optimum_loads_ours_and_gives_the_same_tokens(
    artifact: Callable[[str], Path], optimum_python: Path, expected: list[list[int]], tmp_path: Path
) -> None:
    images = {str(number): patches_of(*pair) for number, pair in enumerate(asked())}
    np.savez(tmp_path / "pictures.npz", **images)  # type: ignore[arg-type]  # of arrays by name
    script = str(Path(__file__).with_name("ort_model.py"))
    lines = output_of(optimum_python, script, str(artifact("onnx-fp32")), str(tmp_path / "pictures.npz"))
    given = [json.loads(line) for line in lines.splitlines() if line.startswith("[")]
    assert given == expected
