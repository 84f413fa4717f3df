"""Which runtime computes which variant, and on which device, with fake runtimes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.matcha.backends import Hardware, load_backend, onnx_backend, openvino_backend, torch_backend
from services.matcha.variants import VARIANTS, VariantName

FOLDER = Path("a-folder")
ON = Hardware(threads=3, device="cuda")
CALLS: dict[VariantName, tuple[str, tuple[Any, ...]]] = {
    "fp32": ("torch", (FOLDER, ON, "fp32")),
    "bf16": ("torch", (FOLDER, ON, "bf16")),
    "int8": ("torch", (FOLDER, ON, "int8")),
    "onnx-fp32": ("onnx", (FOLDER, ON, "onnx-fp32")),
    "onnx-int8": ("onnx", (FOLDER, ON, "onnx-int8")),
    "openvino": ("openvino", (FOLDER, ON, "openvino")),
    "openvino-int8": ("openvino", (FOLDER, ON, "openvino-int8")),
}


def test_each_variant_has_a_loader() -> None:
    assert set(VARIANTS) == set(CALLS)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_is_loaded_by_its_runtime_in_its_form(variant: VariantName, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def loads(name: str) -> Callable[..., object]:
        def load(*arguments: object) -> object:
            calls.append((name, arguments))
            return name

        return load

    monkeypatch.setattr(torch_backend, "TorchBackend", loads("torch"))
    monkeypatch.setattr(onnx_backend, "load", loads("onnx"))
    monkeypatch.setattr(openvino_backend, "load", loads("openvino"))
    loaded: object = load_backend(variant, FOLDER, ON)
    assert loaded == CALLS[variant][0]
    assert calls == [CALLS[variant]]


def test_the_default_device_is_the_cpu() -> None:
    assert Hardware(threads=2).device == "cpu"
