"""The torch-free variants answer in an environment with only their extras: no torch, no transformers."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from clients.launcher import running
from tests.interop.conftest import ROOT, output_of

QUESTION = {"question": "What type of chart is it?"}
CHART = ROOT / "clients/samples/realcqa/images/PMC9000001_g001.jpg"


def test_neither_torch_nor_transformers_is_installed(torch_free_python: Path) -> None:
    listed = json.loads(output_of(torch_free_python, "-m", "pip", "list", "--format", "json"))
    names = {package["name"].lower() for package in listed}
    assert {"onnxruntime", "openvino", "tokenizers", "litserve"} <= names
    assert not {"torch", "transformers", "optimum", "onnx", "scipy"} & names


@pytest.mark.parametrize(
    ("variant", "kind"),
    [
        ("onnx-fp32", "onnx-fp32"),
        ("onnx-int8", "onnx-int8"),
        ("openvino", "onnx-fp32"),
        ("openvino-int8", "openvino-int8"),
    ],
)
def test_a_variant_serves(
    torch_free_python: Path, artifact: Callable[[str], Path], variant: str, kind: str, tmp_path: Path
) -> None:
    options = ("--model", str(artifact(kind)), "--variant", variant, "--threads", "1")
    with running("matcha", tmp_path / "log", *options, python=str(torch_free_python)) as service:
        files = {"image": CHART.read_bytes()}
        answer = httpx.post(f"{service.url}/v1/answer", files=files, data=QUESTION, trust_env=False, timeout=60)
    assert answer.json()["answer"] == "Area chart", answer.text
    assert answer.json()["variant"] == variant
