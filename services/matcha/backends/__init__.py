"""How a variant computes: patches in, token ids out. A new variant is one module here and one row of the table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from services.matcha.patches import Floats
from services.matcha.settings import Device, Variant


class Backend(Protocol):
    """A loaded model in one numeric form."""

    positions: int
    """Row and column ids of patches are below this."""

    eos_token_id: int

    fixed_patches: int | None
    """How many patches it is bound to, as graphs that Optimum exported are; None if it takes any number."""

    def generate(self, patches: Sequence[Floats], limits: Sequence[int]) -> list[list[int]]:
        """Greedy answers to the patches (rows, 770) of each image: token ids without the start token, up to and with
        the end-of-sequence token, at most as many as the image's limit.
        """
        ...


@dataclass(frozen=True, slots=True)
class Hardware:
    """What a backend computes on."""

    threads: int
    device: Device = "cpu"


def _torch(form: Literal["fp32", "bf16", "int8"]) -> Callable[[Path, Hardware], Backend]:
    def load(folder: Path, hardware: Hardware) -> Backend:
        from services.matcha.backends.torch_backend import TorchBackend  # noqa: PLC0415 other variants run without torch

        return TorchBackend(folder, hardware.threads, form, hardware.device)

    return load


def _onnx(folder: Path, hardware: Hardware) -> Backend:
    from services.matcha.backends import onnx_backend  # noqa: PLC0415 other variants run without ONNX Runtime

    return onnx_backend.load(folder, hardware.threads)


def _openvino(folder: Path, hardware: Hardware) -> Backend:
    from services.matcha.backends import openvino_backend  # noqa: PLC0415 other variants run without OpenVINO

    return openvino_backend.load(folder, hardware.threads)


LOADERS: dict[Variant, Callable[[Path, Hardware], Backend]] = {
    "fp32": _torch("fp32"),
    "bf16": _torch("bf16"),
    "int8": _torch("int8"),
    "onnx-fp32": _onnx,
    "onnx-int8": _onnx,
    "openvino": _openvino,
    "openvino-int8": _openvino,
}
"""Variant to loader; a loader takes the model folder and what to compute on."""
