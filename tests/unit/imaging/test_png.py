import struct
import zlib
from collections.abc import Sequence

import numpy as np
import pytest

from imaging import png as own
from imaging.decode import decode, upright_size
from imaging.errors import ImageError
from tests.images import Chunk, chunk, exif, grey_profile, orientation, png

WHITE = [255, 255, 255]
LONG = zlib.compress(b"a" * 5_000_000)


def row(depth: int, colour: int, pixels: bytes, *before: Chunk, after: Sequence[Chunk] = ()) -> list[list[int]]:
    """The colours of a PNG of two pixels."""
    read: list[list[int]] = np.asarray(decode(png((2, 1), depth, colour, [pixels], before, after)))[0].tolist()
    return read


def grey(*levels: int) -> list[list[int]]:
    return [[level] * 3 for level in levels]


@pytest.mark.parametrize(
    ("depth", "pixels", "key", "levels"),
    [
        (1, b"\x40", 1, (0, 255)),
        (1, b"\x40", 0, (255, 255)),
        (2, b"\x60", 1, (255, 170)),
        (2, b"\x60", 2, (85, 255)),
        (4, b"\x3a", 3, (255, 170)),
        (8, b"\x33\xaa", 0x33, (255, 170)),
        (16, b"\x33\x01\x33\x02", 0x3301, (255, 0x33)),
    ],
)
def test_the_transparent_grey_is_of_the_files_own_depth(
    depth: int, pixels: bytes, key: int, levels: Sequence[int]
) -> None:
    assert row(depth, 0, pixels, (b"tRNS", struct.pack(">H", key))) == grey(*levels)


def test_the_transparent_colour_is_of_the_files_own_depth() -> None:
    assert row(8, 2, bytes([1, 2, 3, 1, 2, 4]), (b"tRNS", bytes([0, 1, 0, 2, 0, 3]))) == [WHITE, [1, 2, 4]]
    deep = struct.pack(">6H", 0x0102, 0x0304, 0x0506, 0x0102, 0x0404, 0x0506)
    assert row(16, 2, deep, (b"tRNS", deep[:6])) == [WHITE, [1, 4, 5]]


@pytest.mark.parametrize("chunk", [b"", b"\0", b"\0\0\0"])
def test_a_transparent_colour_of_another_length_is_none(chunk: bytes) -> None:
    assert row(8, 0, b"\0\7", (b"tRNS", chunk)) == grey(0, 7)


@pytest.mark.parametrize(
    "text", [(b"zTXt", b"a\0\0" + LONG), (b"iTXt", b"a\0\1\0\0\0" + LONG), (b"tEXt", b"a\0" + b"a" * 2_000_000)]
)
def test_texts_of_any_length_are_passed_over(text: Chunk) -> None:
    assert row(8, 0, b"\3\4", text, *[text] * 20) == row(8, 0, b"\3\4", after=[text] * 20) == grey(3, 4)


LINEAR = grey_profile(1.0)


@pytest.mark.parametrize(
    ("profile", "levels"),
    [
        (zlib.compress(LINEAR), (188, 99)),
        (zlib.compress(LINEAR.ljust(own.MOST_PROFILE_BYTES - 1, b"\0")), (188, 99)),
        (zlib.compress(LINEAR.ljust(own.MOST_PROFILE_BYTES + 1, b"\0")), (128, 32)),
        (zlib.compress(LINEAR)[:-9], (128, 32)),
        (b"none", (128, 32)),
    ],
    ids=["whole", "long", "too long", "cut off", "none"],
)
def test_a_profile_is_honoured_if_it_can_be_read(profile: bytes, levels: Sequence[int]) -> None:
    """SRGB of linear light 128/255 is 188, and of 32/255 is 99, by its formula."""
    assert row(8, 0, b"\x80\x20", (b"iCCP", b"a\0\0" + profile)) == grey(*levels)


@pytest.mark.parametrize(
    ("before", "levels"),
    [
        ([(b"gAMA", struct.pack(">I", 100_000))], (188, 99)),
        ([(b"gAMA", struct.pack(">I", 100_000)), (b"sRGB", b"\0")], (128, 32)),
        ([(b"gAMA", struct.pack(">I", 100_000)), (b"cICP", bytes([1, 13, 0, 1]))], (128, 32)),
        ([(b"gAMA", struct.pack(">I", 45_455))], (128, 32)),
        ([(b"gAMA", struct.pack(">I", 47_000))], (128, 32)),
        ([(b"gAMA", bytes(4))], (128, 32)),
        ([(b"gAMA", struct.pack(">I", 9_999))], (128, 32)),
        ([(b"gAMA", b"\xff" * 4)], (128, 32)),
        ([(b"gAMA", b"\1")], (128, 32)),
        ([(b"gAMA", struct.pack(">I", 100_000)), (b"cHRM", bytes(32))], (128, 32)),
        ([(b"gAMA", struct.pack(">I", 100_000)), (b"cHRM", bytes(9))], (128, 32)),
    ],
)
def test_a_gamma_is_honoured_unless_something_better_is_told(before: list[Chunk], levels: Sequence[int]) -> None:
    assert row(8, 0, b"\x80\x20", *before) == grey(*levels)


def test_primaries_are_honoured_with_a_gamma() -> None:
    """P3's green is out of sRGB's range: sRGB's red and blue end at 0."""
    points = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
    gamma = b"gAMA", struct.pack(">I", 45_455)
    ((red, green, blue), _) = row(8, 2, bytes([40, 200, 40, 0, 0, 0]), gamma, (b"cHRM", points))
    assert red == 0
    assert green > 200
    assert blue < 40
    assert row(8, 2, bytes([40, 200, 40, 0, 0, 0]), (b"cHRM", points))[0] == [40, 200, 40]
    ((red, green, blue), black) = row(8, 2, bytes([40, 200, 40, 0, 0, 0]), (b"cICP", bytes([12, 13, 0, 1])))
    assert (red, black) == (0, [0, 0, 0])
    assert green > 200
    assert blue < 40


@pytest.mark.parametrize("cicp", [bytes([9, 16, 0, 1]), bytes([12, 18, 0, 1]), bytes([99, 13, 0, 1]), b""])
def test_high_dynamic_range_is_refused(cicp: bytes) -> None:
    with pytest.raises(
        ImageError,
        match=r"^the PNG has colours that are not read .its cICP chunk names a high dynamic range.: save it in sRGB$",
    ):
        row(8, 0, b"\0\0", (b"cICP", cicp))


def test_what_describes_the_pixels_counts_before_them_and_once() -> None:
    turn = b"eXIf", exif([orientation(6)])
    assert upright_size(png((2, 1), 8, 0, [b"\0\0"], [turn, (b"eXIf", exif([orientation(1)]))])) == (1, 2)
    assert upright_size(png((2, 1), 8, 0, [b"\0\0"], after=[turn])) == (2, 1)


def test_a_broken_chunk_is_left_out_if_a_viewer_can_do_without_it() -> None:
    whole = png((2, 1), 8, 0, [b"\3\4"], [(b"gAMA", struct.pack(">I", 100_000))])
    assert np.asarray(decode(whole.replace(chunk(b"gAMA", struct.pack(">I", 100_000)), b"\0\0\0\4gAMA12345678")))[
        0
    ].tolist() == grey(3, 4)
    at = whole.index(b"IDAT")
    with pytest.raises(ImageError, match="it begins as a PNG"):
        decode(whole[: at - 4] + b"\0\0\0\4IDAT12345678" + whole[at - 4 :])


def test_a_png_has_few_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    data = png((2, 1), 8, 0, [b"\3\4"], [(b"noNe", b"")] * 7)
    monkeypatch.setattr(own, "MOST_CHUNKS", 10)
    assert decode(data).size == (2, 1)
    monkeypatch.setattr(own, "MOST_CHUNKS", 9)
    with pytest.raises(ImageError, match="the PNG has more than 9 chunks: save it anew"):
        decode(data)
