"""Which runtime computes which variant, in which form, and on what: the runtimes stood in for."""

from collections.abc import Callable
from importlib.util import module_from_spec
from pathlib import Path
from typing import Any

import pytest

from services.matcha import backends
from services.matcha.backends import LOADERS, Hardware, onnx_backend, openvino_backend, torch_backend
from services.matcha.settings import VARIANTS, Variant

FOLDER = Path("a-folder")
CALLS: dict[Variant, tuple[str, tuple[Any, ...]]] = {
    "fp32": ("torch", (FOLDER, 3, "fp32", "cuda")),
    "bf16": ("torch", (FOLDER, 3, "bf16", "cuda")),
    "int8": ("torch", (FOLDER, 3, "int8", "cuda")),
    "onnx-fp32": ("onnx", (FOLDER, 3)),
    "onnx-int8": ("onnx", (FOLDER, 3)),
    "openvino": ("openvino", (FOLDER, 3)),
    "openvino-int8": ("openvino", (FOLDER, 3)),
}


@pytest.fixture
def loaders() -> dict[Variant, Callable[[Path, Hardware], object]]:
    """The table made anew: what makes its rows runs when the module is imported, long before a test."""
    spec = backends.__spec__
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    table: dict[Variant, Callable[[Path, Hardware], object]] = module.LOADERS
    return table


def test_each_variant_has_a_loader() -> None:
    assert set(LOADERS) == set(VARIANTS) == set(CALLS)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_is_loaded_by_its_runtime_in_its_form(
    variant: Variant, loaders: dict[Variant, Callable[[Path, Hardware], object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def loads(name: str) -> Callable[..., object]:
        def load(*arguments: object) -> object:
            calls.append((name, arguments))
            return name

        return load

    monkeypatch.setattr(torch_backend, "TorchBackend", loads("torch"))
    monkeypatch.setattr(onnx_backend, "load", loads("onnx"))
    monkeypatch.setattr(openvino_backend, "load", loads("openvino"))
    loaded = loaders[variant](FOLDER, Hardware(threads=3, device="cuda"))
    assert loaded == CALLS[variant][0]
    assert calls == [CALLS[variant]]


def test_without_a_word_the_processor_computes() -> None:
    assert Hardware(threads=2).device == "cpu"
