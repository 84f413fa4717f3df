"""Backends: patches in, token ids out. Each runtime is one module here, named in the table of variants."""

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
    """Row and column ids of patches must be below this."""

    end_token_ids: tuple[int, ...]
    """An answer ends with any of these."""

    fixed_patches: int | None
    """The fixed number of patches of a graph exported by Optimum; None if any number is supported."""

    def generate(self, patches: Sequence[Floats], limits: Sequence[int]) -> list[list[int]]:
        """Decode a greedy answer for the patches (rows, 770) of each image: token ids without the start token, up to
        and including the end-of-sequence token or up to the image's limit.
        """
        ...


@dataclass(frozen=True, slots=True)
class Hardware:
    """The hardware that a backend uses."""

    threads: int
    device: Device = "cpu"


class Loader(Protocol):
    """The ``load`` function of a backend's module."""

    def __call__(self, folder: Path, hardware: Hardware, variant: VariantName) -> Backend:
        """Load an artifact folder in a variant."""
        ...


def load_backend(variant: VariantName, folder: Path, hardware: Hardware) -> Backend:
    """Load an artifact folder in a variant. Imports only that variant's runtime, as others may not be installed."""
    load: Loader = import_module(f"services.matcha.backends.{VARIANTS[variant].runtime}_backend").load
    return load(folder, hardware, variant)
