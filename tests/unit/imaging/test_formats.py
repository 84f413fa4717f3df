import re

import pytest
from PIL import Image

from imaging.decode import decode
from imaging.errors import ImageError
from imaging.formats import FORMATS, format_of
from tests.images import encode

SQUARE = Image.new("RGB", (32, 32), "red")


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (encode(SQUARE, "TIFF"), "a TIFF"),
        (b"MM\0*" + bytes(40), "a TIFF"),
        (encode(SQUARE, "AVIF"), "an AVIF"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "a HEIC"),
        (b"\0\0\0\x18ftypisom" + bytes(40), "a video"),
        (encode(SQUARE, "ICO"), "an ICO"),
        (encode(SQUARE, "JPEG2000"), "a JPEG 2000"),
        (b"\xff\x0a" + bytes(40), "a JPEG XL"),
        (b"8BPS\0\1", "a Photoshop file"),
        (b"%PDF-1.7", "a PDF"),
        (b"PK\x03\x04", "an archive"),
        (b"\x1f\x8b\x08", "an archive"),
        (encode(SQUARE, "PPM"), "a PNM"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- drawn -->\n<svg\n width="9"/>', "an SVG"),
        (b"<!DOCTYPE html><html><svg></svg></html>", "an HTML page"),
        (b"\n<html><body>404</body></html>", "an HTML page"),
    ],
)
def test_what_is_not_read_is_named(data: bytes, named: str) -> None:
    told = f"the image is {named}, which is not read: send one of PNG, JPEG, WEBP, GIF, BMP"
    with pytest.raises(ImageError, match=f"^{re.escape(told)}$"):
        decode(data)


@pytest.mark.parametrize("data", [b"", b"P", b"GIF", b"text", b"<p>", b"RIFF1234WAVE", encode(SQUARE, "PCX")])
def test_what_is_unknown_is_not_named(data: bytes) -> None:
    with pytest.raises(ImageError, match=r"^the bytes are not an image that can be read: send one of PNG"):
        decode(data)


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_read_is_never_told_to_be_sent_as_itself(form: str) -> None:
    whole = encode(SQUARE, form)
    assert format_of(whole) == form
    with pytest.raises(ImageError, match=f"it begins as a {form}, but cannot be read") as refused:
        decode(whole[: min(len(whole) // 2, 20)])
    assert "send one of" not in str(refused.value)
    assert "object at" not in str(refused.value)
