"""Cache computations on images, so that further questions about an image do not repeat them.

Two kinds of entry share one LRU cache with a size limit in bytes:

- the keys and values of a prompt up to the end of an image, keyed by everything they depend on: all tokens before,
  and the content and grid of every image;
- an image's features, keyed by its content and grid alone, which other prompts with the same image can use.

A worker has one cache and prefills one prompt at a time, so if two requests for a new image arrive together, the
second one hits the cache.
"""

import ctypes
import mmap
from collections.abc import Hashable

import torch
from cachetools import LRUCache


def _nbytes(tensor: torch.Tensor) -> int:
    return tensor.nbytes


def _apart(tensor: torch.Tensor) -> torch.Tensor:
    """Copy to a separate memory mapping, which is returned to the system when the copy is freed.

    On the heap, entries would be interleaved with the next prompts' temporaries and fragment it: memory grew to 1.4
    times the limit.
    """
    if tensor.device.type != "cpu":
        return tensor.clone()
    return torch.frombuffer(mmap.mmap(-1, tensor.nbytes), dtype=tensor.dtype).view(tensor.shape).copy_(tensor)


def give_back() -> None:
    """Return free memory to the system; with glibc, a prefill's temporaries would otherwise stay resident.

    Called after a prefill, which takes seconds, so the cost of allocating the memory again is small.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class PrefixCache:
    """An LRU cache of tensors, ``max_bytes`` in total; a larger tensor is not kept."""

    def __init__(self, max_bytes: int) -> None:
        self._entries: LRUCache[Hashable, torch.Tensor] = LRUCache(max_bytes, getsizeof=_nbytes)

    @property
    def enabled(self) -> bool:
        """Whether anything can be kept."""
        return self._entries.maxsize > 0

    @property
    def nbytes(self) -> int:
        """Total size of the cached tensors."""
        return int(self._entries.currsize)

    def __len__(self) -> int:
        """Number of entries."""
        return len(self._entries)

    def get(self, key: Hashable) -> torch.Tensor | None:
        """The cached tensor, which must not be modified, or None."""
        return self._entries.get(key)

    def clear(self) -> None:
        """Remove all entries."""
        self._entries.clear()

    def put(self, key: Hashable, tensor: torch.Tensor) -> None:
        """Cache a copy of a tensor."""
        if 0 < tensor.nbytes <= self._entries.maxsize:
            self._entries[key] = _apart(tensor)
