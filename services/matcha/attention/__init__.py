"""Attention in int8 for the encoder, which neither ONNX Runtime nor OpenVINO has: a kernel of our own, ``kernel.c``.

At 2048 patches attention is a third of an encoder's operations, and where all else is in int8, half of its time. Where
the kernel was not built, or the processor lacks its instructions, the runtime's own attention is used.
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
"""More of them could overflow a sum of 32 bits."""
_PATCHES_OF_A_THREAD: Final = 64
"""With fewer, a thread takes longer to wake than the work it would take over."""

Floats = NDArray[np.float32]


class Int8Attention:
    """Unmasked attention of one image, its heads shared out among threads."""

    def __init__(self, heads: int, threads: int, kernel: Path = KERNEL) -> None:
        self._heads, self._threads = heads, threads
        self._others = ThreadPoolExecutor(max(1, threads - 1), thread_name_prefix="attention")
        self._attend = ctypes.CDLL(str(kernel)).attend
        self._attend.argtypes = [ctypes.c_void_p] * 4 + [ctypes.c_int64] * 4 + [ctypes.c_float]

    @classmethod
    def find(cls, heads: int, width: int, threads: int) -> Self | None:
        """The attention for heads of that width, or None where this machine has to do without; the log says why."""
        reason = None
        if not KERNEL.is_file():
            reason = "its kernel was not built"
        elif not instructions() >= INSTRUCTIONS:
            reason = f"this processor lacks {', '.join(sorted(INSTRUCTIONS - instructions()))}"
        elif width not in _WIDTHS:
            reason = f"heads are {width} wide, not {' or '.join(map(str, sorted(_WIDTHS)))}"
        if reason is None:
            return cls(heads, threads)
        logging.getLogger(__name__).info("attention is not computed in int8: %s", reason)
        return None

    def __call__(self, query: Floats, key: Floats, value: Floats, out: Floats, scale: float = 1.0) -> None:
        """Write softmax(scale · query · keyᵀ) · value to ``out``; all are (1, P, heads · width), contiguous float32.

        Raises:
            ValueError: they are not.
            MemoryError: there is no room for a head's packed keys and values.
        """
        arrays = (query, key, value, out)
        one, patches, row = query.shape
        if any(each.shape != query.shape or each.dtype != np.float32 or not each.flags.c_contiguous for each in arrays):
            message = "attention takes contiguous float32 arrays of one shape"
            raise ValueError(message)
        width, rest = divmod(row, self._heads)
        if one != 1 or rest or width not in _WIDTHS or not 1 <= patches <= _MOST_PATCHES:
            message = f"attention with {self._heads} heads does not take the shape {query.shape}"
            raise ValueError(message)
        places = [each.ctypes.data for each in arrays]
        shares = max(1, min(self._threads, self._heads, patches // _PATCHES_OF_A_THREAD))

        def attend(share: int) -> bool:
            heads = range(share, self._heads, shares)
            return not any(self._attend(*places, patches, row, width, head, scale) for head in heads)

        others = [self._others.submit(attend, share) for share in range(1, shares)]
        if not all([attend(0), *(each.result() for each in others)]):
            message = f"no memory for attention over {patches} patches"
            raise MemoryError(message)
