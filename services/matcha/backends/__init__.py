"""How a variant computes: patches in, token ids out. A new runtime is one module here, named by a row of variants."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol

from services.matcha.patches import Floats
from services.matcha.settings import Device
from services.matcha.variants import VARIANTS, VariantName


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


class Loader(Protocol):
    """``load`` of a backend's module."""

    def __call__(self, folder: Path, hardware: Hardware, variant: VariantName) -> Backend:
        """The model of an artifact folder, in that variant."""
        ...


def load_backend(variant: VariantName, folder: Path, hardware: Hardware) -> Backend:
    """The model of an artifact folder, in a variant. Only that variant's runtime is imported: others may be missing."""
    load: Loader = import_module(f"services.matcha.backends.{VARIANTS[variant].runtime}_backend").load
    return load(folder, hardware, variant)
