"""Make ICC profiles of colours that a file describes by numbers."""

import struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

Primaries = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]
"""The chromaticities x and y of white, red, green and blue."""

PRIMARIES_OF_SRGB: Final[Primaries] = ((0.3127, 0.3290), (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))

_D50: Final = np.array([0.9642, 1.0, 0.8249])
"""The white of ICC's connection space."""
_BRADFORD: Final = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def power_curve(exponent: float) -> bytes:
    """An ICC curve: linear light is the value to the power of the exponent."""
    return struct.pack(">4sIHH", b"para", 0, 0, 0) + _fixed(exponent)


CURVE_OF_SRGB: Final = struct.pack(">4sIHH", b"para", 0, 3, 0) + b"".join(
    _fixed(value) for value in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
)


def matrix_profile(primaries: Primaries, curve: bytes) -> bytes | None:
    """An ICC profile of RGB with these primaries and this curve; None if no colour has such primaries.

    Its version is 2: LittleCMS moves black for profiles of version 4, which browsers do not.
    """
    try:
        columns = _adapted(primaries)
    except (np.linalg.LinAlgError, ZeroDivisionError):
        return None
    if not np.isfinite(columns).all() or np.abs(columns).max() > 100:  # noqa: PLR2004 far beyond any colour
        return None
    tags = {
        **{name: _xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns.T, strict=True)},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    return _file(tags)


def _adapted(primaries: Primaries) -> NDArray[np.float64]:
    """The primaries' XYZ as columns (3, 3), adapted to D50."""
    white, *corners = (np.array([x / y, 1.0, (1 - x - y) / y]) for x, y in primaries)
    columns = np.stack(corners, axis=1)
    columns = columns * np.linalg.solve(columns, white)
    gains = (_BRADFORD @ _D50) / (_BRADFORD @ white)
    adapted: NDArray[np.float64] = np.linalg.inv(_BRADFORD) @ np.diag(gains) @ _BRADFORD @ columns
    return adapted


def _file(tags: dict[bytes, bytes]) -> bytes:
    at, table, content = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, value in tags.items():
        table += struct.pack(">4sII", name, at + len(content), len(value))
        content += value + bytes(-len(value) % 4)
    size = at + len(content)
    header = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28)
    header += b"".join(_fixed(value) for value in _D50)
    return header.ljust(128, b"\0") + table + content


def _xyz(values: NDArray[np.float64]) -> bytes:
    return struct.pack(">4sI", b"XYZ ", 0) + b"".join(_fixed(value) for value in values)
