import numpy as np
import pytest
from PIL import Image

from services.common.errors import TooLargeError, UnsupportedImageError
from services.common.images import decode, probe
from tests.pictures import encode, png_header

LIMITS = {"max_bytes": 1 << 20, "max_pixels": 1_000_000}


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_formats_that_are_taken(form: str) -> None:
    data = encode(Image.new("RGB", (30, 20), "red"), form)
    assert probe(data, **LIMITS) == (30, 20)
    assert decode(data).size == (30, 20)


@pytest.mark.parametrize("data", [b"", b"just text", b"\x89PNG\r\n\x1a\n", b"%PDF-1.7 ...", b"II*\x00" + b"\0" * 40])
def test_what_is_no_picture_is_unsupported(data: bytes) -> None:
    with pytest.raises(UnsupportedImageError):
        probe(data, **LIMITS)


@pytest.mark.parametrize(("width", "height"), [(30_000, 30_000), (1001, 1000), (2**31 - 1, 2**31 - 1)])
def test_a_large_picture_is_refused_from_its_header(width: int, height: int) -> None:
    with pytest.raises(TooLargeError):
        probe(png_header(width, height), **LIMITS)


def test_a_large_file_is_refused_unopened() -> None:
    with pytest.raises(TooLargeError, match="2000000 bytes"):
        probe(b"\0" * 2_000_000, **LIMITS)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF"])
def test_a_picture_that_breaks_off_is_unsupported(form: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), form)
    with pytest.raises(UnsupportedImageError):
        decode(data[: len(data) // 2])


def test_transparent_becomes_white() -> None:
    assert decode(encode(Image.new("RGBA", (4, 4), (0, 0, 0, 0)))).getpixel((1, 1)) == (255, 255, 255)


def test_a_picture_is_turned_upright() -> None:
    picture = Image.new("RGB", (30, 20))
    exif = picture.getexif()
    exif[0x0112] = 6  # turned by 90 degrees
    assert decode(encode(picture, "JPEG", exif=exif)).size == (20, 30)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "CMYK", "I;16"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    picture = Image.new(mode, (8, 8))
    data = encode(picture, "JPEG" if mode == "CMYK" else "PNG")
    assert decode(data).mode == "RGB"
