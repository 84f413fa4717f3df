"""Small images, as the bytes of files."""

import io
import struct
import zlib
from collections.abc import Sequence

from PIL import Image

Chunk = tuple[bytes, bytes]
"""A PNG chunk's kind and content."""


def encode(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    """An image as the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that declares this size but contains no pixels."""
    return png((width, height), 8, 2, [])


def png(
    size: tuple[int, int],
    depth: int,
    colour: int,
    rows: Sequence[bytes],
    before: Sequence[Chunk] = (),
    after: Sequence[Chunk] = (),
) -> bytes:
    """A PNG of bits per channel, a colour type and rows of pixels, with chunks before and after the pixels."""
    header = b"IHDR", struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    pixels = b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = (header, *before, pixels, *after, (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG chunk with its length and checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def exif(entries: Sequence[tuple[int, int, int, bytes]]) -> bytes:
    """A big-endian EXIF block of (tag, type, count, four bytes of value or offset)."""
    table = b"".join(struct.pack(">HHI", tag, kind, count) + value for tag, kind, count, value in entries)
    return b"MM\0*" + struct.pack(">IH", 8, len(entries)) + table + bytes(4)


def orientation(value: int) -> tuple[int, int, int, bytes]:
    """The EXIF entry of an orientation."""
    return 0x0112, 3, 1, struct.pack(">HH", value, 0)


def gif_with_offset(image: Image.Image, size: tuple[int, int], at: tuple[int, int]) -> bytes:
    """A GIF of a larger screen whose only frame is the image, placed at an offset."""
    data = bytearray(encode(image, "GIF"))
    data[6:10] = struct.pack("<HH", *size)
    frame = data.index(b"\x2c\0\0\0\0" + struct.pack("<HH", *image.size))
    data[frame + 1 : frame + 5] = struct.pack("<HH", *at)
    return bytes(data)


def grey_profile(gamma: float) -> bytes:
    """An ICC profile of grey: linear light is the value to the power of gamma."""
    curve = struct.pack(">4sIIH", b"curv", 0, 1, round(gamma * 256))
    return _profile(b"scnr", b"GRAY", b"XYZ ", {b"wtpt": _D50, b"kTRC": curve})


def cmyk_profile(labs: Sequence[tuple[int, int, int]]) -> bytes:
    """An ICC profile of inks by the colours, in 8-bit Lab, of their 16 full mixtures, in which black varies fastest."""
    straight = bytes(range(256))
    identity = struct.pack(">9i", *(65536 if at % 4 == 0 else 0 for at in range(9)))
    colours = bytes(value for lab in labs for value in lab)
    table = struct.pack(">4sI4B", b"mft1", 0, 4, 3, 2, 0) + identity + straight * 4 + colours + straight * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"wtpt": _D50, b"A2B0": table})


_D50 = struct.pack(">4sI3i", b"XYZ ", 0, 63190, 65536, 54061)


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    tags = {b"desc": struct.pack(">4sII", b"desc", 0, 1) + bytes(79), **tags}
    at, table, content = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, value in tags.items():
        table += struct.pack(">4sII", name, at + len(content), len(value))
        content += value + bytes(-len(value) % 4)
    header = struct.pack(">I4sI4s4s4s", at + len(content), bytes(4), 0x02400000, kind, space, connection)
    header += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + _D50[8:]
    return header.ljust(128, b"\0") + table + content
