"""Image files of every supported format, and copies of them that are broken in all the ways that bytes can be."""

import random
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

from tests.images import chunk, cmyk_profile, encode, exif, grey_profile, orientation, png

NOISE = Image.fromarray(np.random.default_rng(3).integers(0, 256, (31, 23, 3), dtype=np.uint8))
CLEAR = NOISE.copy()
CLEAR.putalpha(Image.linear_gradient("L").resize(NOISE.size))
TURNED = b"Exif\0\0" + exif([(0x010F, 2, 9, b"\0\0\0\x40"), orientation(6), (0x8769, 4, 1, b"\0\0\0\x80")])
MOVING: dict[str, Any] = {"save_all": True, "append_images": [NOISE.rotate(90), CLEAR.rotate(45)], "duration": 99}
FILES = [
    encode(NOISE),
    encode(CLEAR, exif=TURNED),
    encode(CLEAR.convert("LA"), icc_profile=grey_profile(1.8)),
    encode(NOISE.quantize(9), transparency=b"\0\x80"),
    encode(NOISE, **MOVING, default_image=True),
    png((5, 1), 16, 0, [bytes(range(10))], [(b"tRNS", b"\0\1"), (b"gAMA", b"\0\0\x90\0"), (b"cHRM", bytes(range(32)))]),
    png((5, 1), 2, 0, [b"\x1b\x1b"], [(b"tRNS", b"\0\1"), (b"zTXt", b"a\0\0" + zlib.compress(bytes(2000)))]),
    png((2, 1), 16, 2, [bytes(range(12))], [(b"tRNS", bytes(range(6))), (b"cICP", bytes([12, 13, 0, 1]))]),
    encode(NOISE, "JPEG", exif=TURNED, icc_profile=grey_profile(2.2)),
    encode(NOISE, "JPEG", progressive=True, comment="a comment"),
    encode(NOISE.convert("CMYK"), "JPEG", icc_profile=cmyk_profile([(200, 100 + at, 90) for at in range(16)])),
    encode(NOISE, "MPO", save_all=True, append_images=[NOISE], exif=TURNED),
    encode(NOISE, "WEBP", exif=TURNED),
    encode(CLEAR, "WEBP", lossless=True, **MOVING),
    encode(NOISE.quantize(9), "GIF", transparency=3, **MOVING),
    encode(NOISE, "BMP"),
    encode(CLEAR, "BMP"),
    encode(NOISE.quantize(200), "BMP"),
]


def mutated(data: bytes, rng: random.Random) -> bytes:
    """A copy of a file with bytes changed, cut out, repeated or cut off, at the beginning more often."""
    broken = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 3, 8])):
        at = min(int(rng.expovariate(1 / 60)) if rng.random() < 0.6 else rng.randrange(len(broken)), len(broken) - 1)
        match rng.randrange(6):
            case 0 | 1:
                broken[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
            case 2:
                number = struct.pack(rng.choice("<>") + "I", rng.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1, 5000]))
                broken[at : at + 4] = number
            case 3:
                del broken[at : at + rng.randrange(1, 30)]
            case 4:
                broken[at:at] = broken[at : at + rng.randrange(1, 30)]
            case _:
                del broken[max(at, 20) :]
        broken = broken or bytearray(b"\0")
    return _resealed(bytes(broken)) if rng.random() < 0.7 else bytes(broken)


def _resealed(data: bytes) -> bytes:
    """A PNG with right checksums again, so that its broken chunks are read."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    sealed, at = data[:8], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        sealed += chunk(data[at + 4 : at + 8], data[at + 8 : at + 8 + length])
        at += 12 + length
    return sealed
