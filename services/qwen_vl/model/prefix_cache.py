"""What was computed of images before, so that a further question on one is not charged for it again.

Two kinds of entry share one bound in bytes, the least recently used going first:

- the keys and values of a prompt up to an image's end, under everything they depend on: every token before, every
  image's content and grid;
- an image's features under its content and grid alone, which serve another prompt with the same image.

One worker holds one cache and computes one prompt at a time, so of two requests for a new image that arrive
together, the second finds what the first has left.
"""

import ctypes
import mmap
from collections.abc import Hashable

import torch
from cachetools import LRUCache


def _nbytes(tensor: torch.Tensor) -> int:
    return tensor.nbytes


def _apart(tensor: torch.Tensor) -> torch.Tensor:
    """A copy in memory of its own, which goes back to the system with it.

    On the heap, entries would lie between what the next prompt takes and gives back, and leave holes when they go: it
    grew to 1.4 times the bound.
    """
    if tensor.device.type != "cpu":
        return tensor.clone()
    return torch.frombuffer(mmap.mmap(-1, tensor.nbytes), dtype=tensor.dtype).view(tensor.shape).copy_(tensor)


def give_back() -> None:
    """Return free memory to the system: what reading a prompt took would otherwise stay resident, where glibc is used.

    For after a prompt that was read, which takes seconds; the next one takes the memory back.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class PrefixCache:
    """Tensors by key within ``max_bytes``; one larger than that is not kept."""

    def __init__(self, max_bytes: int) -> None:
        self._entries: LRUCache[Hashable, torch.Tensor] = LRUCache(max_bytes, getsizeof=_nbytes)

    @property
    def enabled(self) -> bool:
        """Whether anything can be kept."""
        return self._entries.maxsize > 0

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors held."""
        return int(self._entries.currsize)

    def __len__(self) -> int:
        """Entries held."""
        return len(self._entries)

    def get(self, key: Hashable) -> torch.Tensor | None:
        """The tensor, which must not be written to, or None."""
        return self._entries.get(key)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def put(self, key: Hashable, tensor: torch.Tensor) -> None:
        """Keep a copy of a tensor."""
        if 0 < tensor.nbytes <= self._entries.maxsize:
            self._entries[key] = _apart(tensor)
