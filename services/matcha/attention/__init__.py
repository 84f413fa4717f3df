"""Int8 attention for the encoder, which neither ONNX Runtime nor OpenVINO provides: our own kernel, ``kernel.c``.

At 2048 patches attention is a third of the encoder's operations, and half of its time when the rest runs in int8.
Without the kernel, or on a CPU that lacks its instructions, the runtime's own attention is used.
"""

import ctypes
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from services.common.cpu import instructions
from services.matcha.attention.build import KERNEL as KERNEL

INSTRUCTIONS: Final = frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"})
_WIDTHS: Final = frozenset({16, 32, 48, 64})
_MOST_PATCHES: Final = 65_536
"""More could overflow a 32-bit sum."""
_PATCHES_OF_A_THREAD: Final = 64
"""With fewer, waking a thread takes longer than the work it would do."""

Floats = NDArray[np.float32]

_log = logging.getLogger(__name__)


class Int8Attention:
    """Unmasked attention over one image, with the heads split across threads."""

    def __init__(self, heads: int, threads: int, kernel: Path = KERNEL) -> None:
        self._heads, self._threads = heads, threads
        self._others = ThreadPoolExecutor(max(1, threads - 1), thread_name_prefix="attention")
        self._attend = ctypes.CDLL(str(kernel)).attend
        self._attend.argtypes = [ctypes.c_void_p] * 4 + [ctypes.c_int64] * 4 + [ctypes.c_float]

    @classmethod
    def find(cls, heads: int, width: int, threads: int) -> Self | None:
        """Int8 attention for heads of that width, or None, with the reason logged, if unavailable on this machine."""
        if not KERNEL.is_file():
            _log.warning(
                "the int8 attention kernel was not built, so the runtime's own attention is used, which takes two to "
                "three times as long (docs/measurements.md): make install builds the kernel"
            )
            return None
        reason = None
        if not instructions() >= INSTRUCTIONS:
            reason = f"this CPU lacks {', '.join(sorted(INSTRUCTIONS - instructions()))}"
        elif width not in _WIDTHS:
            reason = f"heads are {width} wide, not {' or '.join(map(str, sorted(_WIDTHS)))}"
        if reason is None:
            return cls(heads, threads)
        _log.info("int8 attention is not available: %s", reason)
        return None

    def __call__(self, query: Floats, key: Floats, value: Floats, out: Floats, scale: float = 1.0) -> None:
        """Write softmax(scale · query · keyᵀ) · value to ``out``; all are contiguous float32 (1, P, heads · width).

        Raises:
            ValueError: an array has another shape, type or layout.
            MemoryError: not enough memory for a head's packed keys and values.
        """
        arrays = (query, key, value, out)
        one, patches, row = query.shape
        if any(x.shape != query.shape or x.dtype != np.float32 or not x.flags.c_contiguous for x in arrays):
            message = "attention needs contiguous float32 arrays of the same shape"
            raise ValueError(message)
        width, rest = divmod(row, self._heads)
        if one != 1 or rest or width not in _WIDTHS or not 1 <= patches <= _MOST_PATCHES:
            message = f"attention with {self._heads} heads does not support the shape {query.shape}"
            raise ValueError(message)
        pointers = [array.ctypes.data for array in arrays]
        shares = max(1, min(self._threads, self._heads, patches // _PATCHES_OF_A_THREAD))

        def attend(share: int) -> bool:
            heads = range(share, self._heads, shares)
            return not any(self._attend(*pointers, patches, row, width, head, scale) for head in heads)

        others = [self._others.submit(attend, share) for share in range(1, shares)]
        if not all([attend(0), *(each.result() for each in others)]):
            message = f"not enough memory for attention over {patches} patches"
            raise MemoryError(message)
