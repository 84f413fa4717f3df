"""Turn an image upright by its EXIF orientation, whatever else the EXIF block contains.

Pillow reads, and to turn an image writes, every tag of the block, and fails on the first that is broken.
"""

import struct
from typing import Final

from PIL import Image

_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ON_ITS_SIDE: Final = 5
"""From here on, an orientation swaps width and height."""
_ORIENTATION_TAG: Final = 0x0112
_SHORT: Final = 3
_BYTE_ORDERS: Final = {b"II*\0": "<", b"MM\0*": ">"}


def orientation(exif: bytes) -> int:
    """The orientation of an EXIF block, 1 to 8; 1, which turns nothing, where it cannot be read.

    As in browsers, it must be one 16-bit number in the first directory.
    """
    while exif.startswith(b"Exif\0\0"):
        exif = exif[6:]
    order = _BYTE_ORDERS.get(exif[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (entries,) = struct.unpack_from(f"{order}H", exif, start)
        for entry in range(entries):
            tag, kind, count, value = struct.unpack_from(f"{order}HHIH", exif, start + 2 + 12 * entry)
            if (tag, kind, count) == (_ORIENTATION_TAG, _SHORT, 1):
                return value if value in _TURNS else 1
    except struct.error:  # the block ends before its directory does
        return 1
    return 1


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """The image upright."""
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def turned_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Width and height of the upright image."""
    width, height = size
    return (height, width) if orientation >= _ON_ITS_SIDE else (width, height)
