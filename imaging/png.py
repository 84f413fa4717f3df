"""Read of a PNG what Pillow does not, or refuses the whole file for.

Pillow refuses a PNG for large texts, large profiles and broken checksums of chunks that no viewer shows; it compares
the transparent colour of a greyscale or 16-bit PNG with pixels of another depth.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from imaging.errors import ImageError
from imaging.profiles import CURVE_OF_SRGB, PRIMARIES_OF_SRGB, Primaries, matrix_profile, power_curve

MOST_PROFILE_BYTES: Final = 8 << 20
"""A profile compresses well, so a small chunk may become gigabytes."""
MOST_CHUNKS: Final = 20_000
"""So many take a tenth of a second; the largest image that the services take has one in 500 bytes."""
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_DROPPED: Final = frozenset({b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"tRNS", b"eXIf", b"gAMA", b"cHRM", b"sRGB", b"cICP"})
_GREY, _COLOUR, _PALETTE = 0, 2, 3
_TO_8_BITS: Final = {1: 255, 2: 85, 4: 17}
"""By how much Pillow multiplies greys of fewer bits."""

_GAMMA_OF_SRGB: Final = 45_455
_GAMMAS: Final = range(10_000, 1_000_001)
"""In units of 1/100,000; what is beyond is no screen's."""
_NEARLY: Final = 0.05
"""Browsers take a gamma this close to that of sRGB, on its own, for sRGB."""

_CICP_PRIMARIES: Final[dict[int, Primaries]] = {
    1: PRIMARIES_OF_SRGB,
    9: ((0.3127, 0.3290), (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),  # BT.2020
    12: ((0.3127, 0.3290), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # Display P3
}
_CICP_CURVE_OF_SRGB: Final = 13


@dataclass(frozen=True, slots=True)
class Png:
    """A PNG that Pillow opens, and what was taken out of it.

    ``profile`` is an ICC profile; ``transparent`` the colour that is transparent, in the units of Pillow's pixels: of
    16-bit colours Pillow keeps the upper bytes, so their neighbours within 1/256 are transparent too.
    """

    data: bytes
    exif: bytes
    profile: bytes | None
    transparent: tuple[int, ...] | None


def read_png(data: bytes) -> Png:
    """Take out of a PNG what Pillow reads otherwise than browsers.

    Raises:
        ImageError: too many chunks, or colours of high dynamic range.
    """
    kept, found = [_SIGNATURE], dict[bytes, bytes]()
    header, pixels = b"", False
    for kind, content, whole in _chunks(data):
        header = header or content
        pixels = pixels or kind == b"IDAT"
        if kind not in _DROPPED or (kind == b"tRNS" and header[9:10] == bytes([_PALETTE])):
            kept.append(whole)
        elif not pixels:  # what describes the pixels counts only before them
            found.setdefault(kind, content)
    return Png(
        data=b"".join(kept),
        exif=found.get(b"eXIf", b""),
        profile=_profile(found),
        transparent=_transparent(header, found.get(b"tRNS")),
    )


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Kind, content and all bytes of each chunk; broken ones that a viewer can do without are left out."""
    at = len(_SIGNATURE)
    for _ in range(MOST_CHUNKS):
        if at >= len(data):
            return
        (length,) = struct.unpack(">I", data[at : at + 4].ljust(4, b"\0"))
        end = at + 12 + length
        kind, content, whole = data[at + 4 : at + 8], data[at + 8 : end - 4], data[at:end]
        if _is_critical(kind) or whole[-4:] == zlib.crc32(kind + content).to_bytes(4, "big"):
            yield kind, content, whole
        at = end
        if kind == b"IEND":
            return
    message = f"the PNG has more than {MOST_CHUNKS} chunks: save it anew"
    raise ImageError(message)


def _is_critical(kind: bytes) -> bool:
    return kind[:1].isupper()


def _profile(found: dict[bytes, bytes]) -> bytes | None:
    """The ICC profile of the colours, from the chunk that browsers prefer."""
    if b"cICP" in found:
        return _named(found[b"cICP"])
    if b"iCCP" in found:
        return _inflated(found[b"iCCP"])
    if b"sRGB" in found or b"gAMA" not in found:
        return None
    try:
        (gamma,) = struct.unpack(">I", found[b"gAMA"])
        points = struct.unpack(">8I", found[b"cHRM"]) if b"cHRM" in found else None
    except struct.error:  # a chunk of another length is no such chunk
        return None
    primaries = PRIMARIES_OF_SRGB
    if points is None and abs(gamma / _GAMMA_OF_SRGB - 1) < _NEARLY:
        return None
    if points:
        white, red, green, blue = ((points[at] / 1e5, points[at + 1] / 1e5) for at in range(0, 8, 2))
        primaries = (white, red, green, blue)
    return matrix_profile(primaries, power_curve(1e5 / gamma)) if gamma in _GAMMAS else None


def _named(cicp: bytes) -> bytes | None:
    primaries = _CICP_PRIMARIES.get(cicp[0]) if cicp else None
    if primaries is None or cicp[1:2] != bytes([_CICP_CURVE_OF_SRGB]):
        message = "the PNG has colours that are not read (its cICP chunk names a high dynamic range): save it in sRGB"
        raise ImageError(message)
    return None if primaries == PRIMARIES_OF_SRGB else matrix_profile(primaries, CURVE_OF_SRGB)


def _inflated(iccp: bytes) -> bytes | None:
    _, _, compressed = iccp.partition(b"\0")
    inflate = zlib.decompressobj()
    try:
        profile = inflate.decompress(compressed[1:], MOST_PROFILE_BYTES)
    except zlib.error:  # browsers show the image without it
        return None
    return profile if inflate.eof else None


def _transparent(header: bytes, chunk: bytes | None) -> tuple[int, ...] | None:
    if chunk is None:
        return None
    try:
        depth, colour = struct.unpack_from(">BB", header, 8)
        if colour == _GREY:
            (grey,) = struct.unpack(">H", chunk)
            return (grey * _TO_8_BITS.get(depth, 1),)
        if colour == _COLOUR:
            return tuple(value >> max(depth - 8, 0) for value in struct.unpack(">3H", chunk))
    except struct.error:  # of another length: browsers show the image opaque
        return None
    return None
