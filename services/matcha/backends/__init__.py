"""How a variant computes: patches in, token ids out. A new variant is one module here and one row of the table."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from services.matcha.patches import Floats
from services.matcha.settings import Variant


class Backend(Protocol):
    """A loaded model in one numeric form."""

    positions: int
    """Row and column ids of patches are below this."""

    eos_token_id: int

    def generate(self, patches: Floats, max_new_tokens: int) -> list[int]:
        """Greedy answer to the patches (rows, 770) of one picture: token ids without the start token, up to and with
        the end-of-sequence token, at most ``max_new_tokens``.
        """
        ...


def _torch_fp32(folder: Path, threads: int) -> Backend:
    from services.matcha.backends.torch_backend import TorchBackend  # noqa: PLC0415 other variants run without torch

    return TorchBackend(folder, threads)


LOADERS: dict[Variant, Callable[[Path, int], Backend]] = {"fp32": _torch_fp32}
"""Variant to loader; a loader takes the model folder and the number of compute threads."""
