"""Images as the services and reports read them, against what Chromium shows."""

import base64
import struct
import zlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from imaging.decode import decode, upright_size
from imaging.profiles import CURVE_OF_SRGB, matrix_profile, power_curve
from tests.images import chunk, cmyk_profile, encode, exif, gif_with_offset, grey_profile, orientation, png

pytestmark = pytest.mark.slow

_SHOWN = """async (url) => {
  const image = new Image();
  image.src = url;
  try { await image.decode(); } catch { return null; }
  const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
  const paper = canvas.getContext('2d');
  paper.fillStyle = 'white';
  paper.fillRect(0, 0, canvas.width, canvas.height);
  paper.drawImage(image, 0, 0);
  return [canvas.height, canvas.width, Array.from(paper.getImageData(0, 0, canvas.width, canvas.height).data)];
}"""

NOISE = Image.fromarray(np.random.default_rng(5).integers(0, 256, (19, 26, 3), dtype=np.uint8))
SOFT = NOISE.resize((52, 38), Image.Resampling.BICUBIC)
CLEAR = NOISE.copy()
CLEAR.putalpha(Image.linear_gradient("L").resize(NOISE.size))
FRAMES = [NOISE, Image.new("RGB", NOISE.size, "lime"), Image.new("RGB", NOISE.size, "blue")]
P3 = matrix_profile(((0.3127, 0.3290), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), CURVE_OF_SRGB)
ADOBE = matrix_profile(((0.3127, 0.3290), (0.64, 0.33), (0.21, 0.71), (0.15, 0.06)), power_curve(2.19921875))
SRGB = matrix_profile(((0.3127, 0.3290), (0.64, 0.33), (0.30, 0.60), (0.15, 0.06)), CURVE_OF_SRGB)
P3_POINTS = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
INKS = [(250 - 50 * c - 40 * m - 30 * y - 20 * k - 25, 128 - 40 * c + 60 * m, 128 + 70 * y - 30 * c)
        for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1)]  # fmt: skip
GREYS = struct.pack(">5H", 0, 0x1234, 0x8000, 0xC0FF, 0xFFFF)


def colours(*before: tuple[bytes, bytes], after: tuple[tuple[bytes, bytes], ...] = ()) -> bytes:
    return png((26, 19), 8, 2, [row.tobytes() for row in np.asarray(NOISE)], before, after)


def broken(data: bytes, kind: bytes) -> bytes:
    """A PNG with a wrong checksum of a chunk."""
    at = data.index(kind)
    (length,) = struct.unpack(">I", data[at - 4 : at])
    end = at + 4 + length
    return data[:end] + b"none" + data[end + 4 :]


def interlaced() -> bytes:
    header = struct.pack(">II5B", 2, 2, 8, 0, 0, 0, 0)
    passes = png((2, 2), 8, 0, [b"\x10", b"\x50", b"\xa0\xf0"])
    return passes.replace(chunk(b"IHDR", header), chunk(b"IHDR", header[:-1] + b"\1"))


KINDS: dict[str, Callable[[], bytes]] = {
    "png": colours,
    "grey 16 bits": lambda: png((5, 1), 16, 0, [GREYS]),
    "grey 16 bits, one transparent": lambda: png((5, 1), 16, 0, [GREYS], [(b"tRNS", b"\x80\0")]),
    "grey 2 bits, one transparent": lambda: png((4, 1), 2, 0, [b"\x1b"], [(b"tRNS", b"\0\1")]),
    "grey 1 bit, one transparent": lambda: png((4, 1), 1, 0, [b"\x50"], [(b"tRNS", b"\0\0")]),
    "grey 8 bits, one transparent": lambda: png((4, 1), 8, 0, [b"\1\2\3\4"], [(b"tRNS", b"\0\2")]),
    "colour 16 bits": lambda: png((2, 1), 16, 2, [bytes(range(3, 15))]),
    "colour 16 bits, one transparent": lambda: png((2, 1), 16, 2, [bytes(range(12))], [(b"tRNS", bytes(range(6)))]),
    "colour 8 bits, one transparent": lambda: png((2, 1), 8, 2, [bytes(range(6))], [(b"tRNS", b"\0\3\0\4\0\5")]),
    "colour and alpha 16 bits": lambda: png((2, 1), 16, 6, [bytes(range(20, 244, 14))]),
    "grey and alpha 16 bits": lambda: png((2, 1), 16, 4, [bytes(range(40, 240, 25))]),
    "alpha": lambda: encode(CLEAR),
    "palette": lambda: encode(NOISE.quantize(16)),
    "palette with alphas": lambda: encode(NOISE.quantize(4), transparency=b"\x00\x80\xff"),
    "grey": lambda: encode(NOISE.convert("L")),
    "black and white": lambda: encode(NOISE.convert("1")),
    "grey and alpha": lambda: encode(CLEAR.convert("LA")),
    "one pixel": lambda: encode(NOISE.crop((3, 3, 4, 4))),
    "P3": lambda: encode(NOISE, icc_profile=P3),
    "P3 with alpha": lambda: encode(CLEAR, icc_profile=P3),
    "P3 palette": lambda: encode(NOISE.quantize(16), icc_profile=P3),
    "Adobe RGB": lambda: encode(SOFT, "JPEG", quality=95, icc_profile=ADOBE),
    "sRGB": lambda: encode(NOISE, icc_profile=SRGB),
    "P3 WebP": lambda: encode(NOISE, "WEBP", lossless=True, icc_profile=P3),
    "profile of inks on colours": lambda: encode(NOISE, icc_profile=cmyk_profile(INKS)),
    "no profile in its place": lambda: encode(NOISE, icc_profile=b"none" * 200),
    "half a profile": lambda: encode(NOISE, icc_profile=(P3 or b"")[:200]),
    "profile of grey": lambda: encode(NOISE.convert("L"), icc_profile=grey_profile(1.0)),
    "profile of grey on a JPEG": lambda: encode(SOFT.convert("L"), "JPEG", quality=95, icc_profile=grey_profile(1.5)),
    "inks": lambda: encode(SOFT.convert("CMYK"), "JPEG", quality=95),
    "inks with their profile": lambda: encode(SOFT.convert("CMYK"), "JPEG", quality=95, icc_profile=cmyk_profile(INKS)),
    "gamma 1.0": lambda: colours((b"gAMA", struct.pack(">I", 100_000))),
    "gamma 1/2.2": lambda: colours((b"gAMA", struct.pack(">I", 45_455))),
    "gamma and primaries": lambda: colours((b"gAMA", struct.pack(">I", 45_455)), (b"cHRM", P3_POINTS)),
    "primaries alone": lambda: colours((b"cHRM", P3_POINTS)),
    "gamma beside sRGB": lambda: colours((b"gAMA", struct.pack(">I", 100_000)), (b"sRGB", b"\0")),
    "gamma of grey": lambda: png((4, 1), 8, 0, [b"\x10\x50\xa0\xf0"], [(b"gAMA", struct.pack(">I", 100_000))]),
    "P3 by number": lambda: colours((b"cICP", bytes([12, 13, 0, 1]))),
    "sRGB by number": lambda: colours((b"cICP", bytes([1, 13, 0, 1]))),
    "long text": lambda: colours((b"zTXt", b"Comment\0\0" + zlib.compress(b"a" * 5_000_000))),
    "long text at the end": lambda: colours(after=((b"iTXt", b"a\0\1\0\0\0" + zlib.compress(b"a" * 5_000_000)),)),
    "long profile": lambda: colours((b"iCCP", b"a\0\0" + zlib.compress((P3 or b"").ljust(3_000_000, b"\0")))),
    "broken text": lambda: broken(colours((b"tEXt", b"Comment\0hello")), b"tEXt"),
    "turned": lambda: colours((b"eXIf", exif([orientation(6)]))),
    "turned too late": lambda: colours(after=((b"eXIf", exif([orientation(6)])),)),
    "turned by a long number": lambda: colours((b"eXIf", exif([(0x0112, 4, 1, b"\0\0\0\6")]))),
    "turned beside broken tags": lambda: encode(
        SOFT, "JPEG", quality=95, exif=b"Exif\0\0" + exif([(0x010F, 2, 2**31, b"none"), orientation(7), (1, 9, 9, b"")])
    ),
    "interlaced": interlaced,
    "animated PNG": lambda: encode(NOISE, save_all=True, append_images=FRAMES[1:], duration=60_000),
    "animated PNG with another first image": lambda: encode(
        NOISE, save_all=True, append_images=FRAMES[1:], default_image=True, duration=60_000
    ),
    "animated GIF": lambda: encode(NOISE, "GIF", save_all=True, append_images=FRAMES[1:], duration=60_000),
    "animated WebP": lambda: encode(
        NOISE, "WEBP", save_all=True, append_images=FRAMES[1:], duration=60_000, lossless=True
    ),
    "GIF at an offset": lambda: gif_with_offset(NOISE.quantize(16), (40, 30), (5, 7)),
    "GIF beyond its screen": lambda: gif_with_offset(NOISE.quantize(16), (20, 10), (5, 7)),
    "GIF with a transparent colour": lambda: encode(NOISE.quantize(4), "GIF", transparency=2),
    "BMP": lambda: encode(NOISE, "BMP"),
    "BMP of 32 bits": lambda: encode(CLEAR, "BMP"),
    "BMP palette": lambda: encode(NOISE.quantize(16), "BMP"),
    "progressive": lambda: encode(SOFT, "JPEG", progressive=True),
    "JPEG": lambda: encode(SOFT, "JPEG"),
    "MPO": lambda: encode(SOFT, "MPO", save_all=True, append_images=[Image.new("RGB", SOFT.size)]),
    "JPEG with garbage after it": lambda: encode(SOFT, "JPEG") + b"garbage" * 50,
    "WebP": lambda: encode(SOFT, "WEBP"),
    "WebP with alpha": lambda: encode(CLEAR, "WEBP", lossless=True),
}  # fmt: skip
ROUNDING = 2
"""Of 255: two libraries round profiles, alpha and inks at other places."""
COARSE = {"inks with their profile"}
"""LittleCMS computes inks from a table, which few colours fall between by more."""


@pytest.fixture(scope="module")
def page(browser: Browser) -> Page:
    return browser.new_page()


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_is_read_as_chromium_shows_it(kind: str, page: Page) -> None:
    data = KINDS[kind]()
    height, width, values = page.evaluate(_SHOWN, f"data:image/png;base64,{base64.b64encode(data).decode()}")
    shown: npt.NDArray[np.int16] = np.array(values, np.int16).reshape(height, width, 4)[..., :3]
    read = np.asarray(decode(data), np.int16)
    assert read.shape == shown.shape
    assert upright_size(data) == (width, height)
    apart = np.abs(read - shown)
    assert (apart.max() if kind not in COARSE else np.percentile(apart, 99)) <= ROUNDING
