"""Which image formats are read, and what a file is that is none of them.

AVIF is refused although Pillow reads it: it is often in wide or high dynamic range colours that are named outside an
ICC profile, which Pillow does not report, so that the colours would be wrong without a word.
"""

import re
from typing import Final

from imaging.errors import ImageError

FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF", "BMP")

_READ: Final = {
    "PNG": re.compile(rb"\x89PNG"),
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "WEBP": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
    "GIF": re.compile(rb"GIF8[79]a"),
    "BMP": re.compile(rb"BM"),
}
_REFUSED: Final = {
    "a TIFF": re.compile(rb"II[*+]\0|MM\0[*+]"),
    "an AVIF": re.compile(rb".{4}ftypavi[fs]", re.DOTALL),
    "a HEIC": re.compile(rb".{4}ftyp(hei|hev|mif1|msf1)", re.DOTALL),
    "a video": re.compile(rb".{4}ftyp|\x1aE\xdf\xa3|RIFF.{4}AVI ", re.DOTALL),
    "an ICO": re.compile(rb"\x00\x00[\x01\x02]\0"),
    "a JPEG 2000": re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"),
    "a JPEG XL": re.compile(rb"\0\0\0\x0cJXL |\xff\x0a"),
    "a Photoshop file": re.compile(rb"8BPS"),
    "a PDF": re.compile(rb"%PDF-"),
    "a PostScript file": re.compile(rb"%!PS"),
    "an archive": re.compile(rb"PK\x03\x04|\x1f\x8b"),
    "a PNM": re.compile(rb"P[1-7]\s"),
    "an HTML page": re.compile(rb"\s*(\xef\xbb\xbf)?\s*<(!doctype\s+html|html)", re.IGNORECASE),
    "an SVG": re.compile(rb"\s*(\xef\xbb\xbf)?\s*<(?=.{0,1000}?<?svg[\s>])", re.DOTALL | re.IGNORECASE),
}


def format_of(data: bytes) -> str:
    """The format's name in ``FORMATS``, by the file's first bytes.

    Raises:
        ImageError: none of them; the message names what it is, if that is known, and what to send.
    """
    for name, start in _READ.items():
        if start.match(data):
            return name
    other = next((name for name, start in _REFUSED.items() if start.match(data)), None)
    found = f"the image is {other}, which is not read" if other else "the bytes are not an image that can be read"
    message = f"{found}: send one of {', '.join(FORMATS)}"
    raise ImageError(message)
