"""Reading a model's files with libraries: what they raise becomes a sentence that says what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from services.common.artifact.manifest import ManifestError

_OUT_OF_MEMORY: Final = (
    "out of memory",  # CUDA
    "can't allocate memory",  # PyTorch on a CPU, an older one
    "cannot allocate memory",  # the system
    "not enough memory",  # PyTorch on a CPU
    "bad_alloc",  # C++
    "failed to allocate memory",  # ONNX Runtime
)
"""What libraries write, in lower case, in errors of no class of their own."""
_UNSAFE: Final = "Weights only load failed"
"""So PyTorch begins an error about a pickle of anything but tensors."""
_LONGEST_REASON: Final = 300


class LoadError(Exception):
    """The model cannot be loaded here; the message says why and what to do."""


@contextmanager
def readable(what: str, folder: Path) -> Iterator[None]:
    """Have a library's complaint about the files that the block reads end in a sentence.

    Raises:
        ManifestError: they cannot be read; the message names ``what`` and the folder.
        LoadError: the machine lacks what reading them takes.
    """
    try:
        yield
    except (ManifestError, LoadError, ImportError):
        raise
    except Exception as error:  # tokenizers raise nothing narrower, and each library has classes of its own
        if lacking := _lacking(error):
            raise LoadError(lacking) from error
        if _UNSAFE in str(error):
            message = f"{what} in {folder} has pickled weights that would run code: get it with safetensors instead"
        else:
            message = f"{what} in {folder} cannot be read ({_line(error)}): download or prepare the model again"
        raise ManifestError(message) from error


def _lacking(error: Exception) -> str | None:
    text = str(error).lower()
    if isinstance(error, MemoryError) or any(part in text for part in _OUT_OF_MEMORY):
        return "memory ran out while the model was loading: serve a smaller variant, or give the service more memory"
    if "cuda" in text:
        return f"PyTorch cannot use the GPU ({_line(error)}): use --device cpu"
    return None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:_LONGEST_REASON].rstrip(".:") or type(error).__name__
