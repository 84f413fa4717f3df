import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from services.common.images import decode, probe, upright_size
from services.wire.errors import TooLargeError, UnsupportedImageError
from tests.images import encode, png_header

LIMITS = {"max_bytes": 1 << 20, "max_pixels": 1_000_000}
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8))


def pixels(data: bytes) -> npt.NDArray[np.uint8]:
    return np.asarray(decode(data))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_formats_that_are_taken(form: str) -> None:
    data = encode(Image.new("RGB", (30, 20), "red"), form)
    assert probe(data, **LIMITS) == (30, 20)
    assert upright_size(data) == (30, 20)
    assert pixels(data).shape == (20, 30, 3)
    assert np.abs(pixels(data).astype(int) - [255, 0, 0]).max() <= 3, "JPEG and WebP are lossy"


@pytest.mark.parametrize("form", ["TIFF", "ICO", "PPM", "PCX", "TGA"])
def test_no_other_format_of_pillow_is_opened(form: str) -> None:
    data = encode(Image.new("RGB", (32, 32), "red"), form)
    for read in (decode, upright_size, lambda data: probe(data, **LIMITS)):
        with pytest.raises(UnsupportedImageError, match="send one of PNG, JPEG, WEBP, GIF, BMP") as refused:
            read(data)
        assert refused.value.param == "image"


@pytest.mark.parametrize("data", [b"", b"just text", b"\x89PNG\r\n\x1a\n", b"%PDF-1.7 ...", b"II*\x00" + b"\0" * 40])
def test_what_is_no_image_is_unsupported(data: bytes) -> None:
    with pytest.raises(UnsupportedImageError) as refused:
        probe(data, **LIMITS)
    assert (refused.value.status, refused.value.param) == (415, "image")


def test_an_empty_image_is_called_so() -> None:
    with pytest.raises(UnsupportedImageError, match=r"^the image is empty \(0 bytes\)$"):
        probe(b"", **LIMITS)


@pytest.mark.parametrize(("width", "height"), [(1001, 1000), (1000, 1001), (2_000_000, 1), (1, 1_000_001)])
def test_a_large_image_is_refused_from_its_header(width: int, height: int) -> None:
    with pytest.raises(TooLargeError, match=f"has {width} x {height} pixels, the limit is 1000000") as refused:
        probe(png_header(width, height), **LIMITS)
    assert (refused.value.status, refused.value.param) == (413, "image")


@pytest.mark.parametrize(("width", "height"), [(1000, 1000), (1, 1_000_000), (999, 1001)])
def test_as_many_pixels_as_allowed_are_taken(width: int, height: int) -> None:
    assert probe(png_header(width, height), **LIMITS) == (width, height)


@pytest.mark.parametrize("side", [30_000, 2**31 - 1])
@pytest.mark.parametrize("read", [decode, upright_size, lambda data: probe(data, 1 << 20, 10**20)])
def test_an_image_beyond_pillows_own_bound_is_too_large(read: object, side: int) -> None:
    assert callable(read)
    with pytest.raises(TooLargeError, match=r"too large .*: scale it down") as refused:
        read(png_header(side, side))
    assert refused.value.param == "image"


def test_an_image_that_pillow_warns_of_is_ours_to_allow() -> None:
    assert probe(png_header(10_000, 10_000), 1 << 20, 10**8) == (10_000, 10_000)


@pytest.mark.parametrize("size", [999, 1000, 1001])
def test_a_large_file_is_refused_unopened(size: int) -> None:
    too_large = (TooLargeError, "has 1001 bytes, the limit is 1000")
    kind, message = too_large if size > 1000 else (UnsupportedImageError, "not an image")
    with pytest.raises(kind, match=message) as refused:
        probe(b"\0" * size, max_bytes=1000, max_pixels=1)
    assert refused.value.param == "image"


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP"])
def test_an_image_that_breaks_off_is_unsupported(form: str) -> None:
    data = encode(NOISE, form)
    told = f"the image is corrupt or truncated: it begins as a {form}, but cannot be read"
    with pytest.raises(UnsupportedImageError, match=told) as refused:
        decode(data[: len(data) // 2])
    assert refused.value.param == "image"


def test_every_part_of_a_png_is_an_image_or_unsupported() -> None:
    data = encode(NOISE.resize((9, 7)))
    for end in range(len(data) - 12, 0, -1):  # the last 12 bytes only mark the end
        try:
            whole = decode(data[:end]).size
        except UnsupportedImageError:
            continue
        assert whole == (9, 7)


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
@pytest.mark.parametrize(("alpha", "expected"), [(0, 255), (255, 40), (51, 212)])
def test_transparent_is_laid_on_white(form: str, alpha: int, expected: int) -> None:
    data = encode(Image.new("RGBA", (4, 4), (40, 40, 40, alpha)), form, lossless=True)
    assert decode(data).getpixel((1, 1)) == (expected,) * 3  # 255 - (255 - 40) * alpha / 255


def test_a_transparent_colour_of_a_palette_becomes_white() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.putdata([0, 1, 2])
    assert pixels(encode(image, transparency=1)).tolist() == [[[10, 20, 30], [255, 255, 255], [70, 80, 90]]]
    assert pixels(encode(image)).tolist() == [[[10, 20, 30], [40, 50, 60], [70, 80, 90]]]


Pixels = npt.NDArray[np.uint8]
TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: lambda upright: np.swapaxes(upright, 0, 1),
    6: np.rot90,
    7: lambda upright: np.swapaxes(np.rot90(upright, 2), 0, 1),
    8: lambda upright: np.rot90(upright, -1),
}
"""EXIF's orientations: how an image is stored that is upright after the tag is obeyed."""


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_an_image_is_turned_upright(form: str, orientation: int) -> None:
    upright = np.random.default_rng(1).integers(0, 256, (2, 3, 3), dtype=np.uint8)
    stored = Image.fromarray(np.ascontiguousarray(TURNS[orientation](upright)))
    exif = stored.getexif()
    exif[0x0112] = orientation
    data = encode(stored, form, exif=exif, lossless=True)
    assert (pixels(data) == upright).all()
    assert upright_size(data) == (3, 2)
    assert probe(data, **LIMITS) == stored.size


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_an_orientation_that_does_not_exist_turns_nothing(orientation: int) -> None:
    exif = NOISE.getexif()
    exif[0x0112] = orientation
    data = encode(NOISE, "JPEG", exif=exif)
    assert upright_size(data) == decode(data).size == (64, 48)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_of_a_moving_image_the_first_frame_is_read(form: str) -> None:
    frames = [Image.new("RGB", (12, 8), colour) for colour in ("red", "lime", "blue")]
    data = encode(frames[0], form, save_all=True, append_images=frames[1:], lossless=True)
    with Image.open(io.BytesIO(data)) as moving:
        assert getattr(moving, "n_frames", 1) == 3
    assert decode(data).getpixel((6, 4)) == (255, 0, 0)
    assert upright_size(data) == (12, 8)


GREYS = np.array([[0, 90, 255], [200, 30, 128]], np.uint8)


@pytest.mark.parametrize(
    ("stored", "form"),
    [
        (Image.fromarray(GREYS), "PNG"),
        (Image.fromarray(GREYS.astype(np.uint16) * 257), "PNG"),
        (Image.fromarray(GREYS.astype(np.uint16) * 256), "PNG"),
        (Image.fromarray(GREYS).convert("P"), "PNG"),
        (Image.fromarray(GREYS).convert("LA"), "PNG"),
        (Image.fromarray(GREYS).convert("RGB"), "BMP"),
    ],
    ids=["grey", "16 bits", "16 bits cut off", "palette", "grey with alpha", "colour"],
)
def test_every_mode_becomes_the_same_rgb(stored: Image.Image, form: str) -> None:
    assert pixels(encode(stored, form)).tolist() == np.stack([GREYS] * 3, axis=2).tolist()


def test_black_and_white_and_the_colours_of_print_become_rgb() -> None:
    bits = Image.fromarray(np.array([[0, 255, 255]], np.uint8)).convert("1")
    assert pixels(encode(bits)).tolist() == [[[0] * 3, [255] * 3, [255] * 3]]
    cyan = Image.new("CMYK", (16, 8), (255, 0, 0, 0))
    assert np.abs(pixels(encode(cyan, "JPEG")).astype(int) - [0, 255, 255]).max() <= 3
