"""Image bytes in a request: a data URL or bare base64, as browsers and command lines write them."""

import binascii
import re
from typing import Annotated, Final
from urllib.parse import unquote_to_bytes

from pydantic import BeforeValidator, WithJsonSchema

_WHITESPACE: Final = b"\t\n\f\r "
_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_URL: Final = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_BASE64: Final = re.compile(r"; *base64$", re.IGNORECASE)


def decode_image(value: object) -> object:
    """Decode a data URL or bare base64; bytes (a form's file) pass through.

    Base64 is read by WHATWG's forgiving rule: white space and padding do not matter. A data URL may be
    percent-encoded. The message of a ``ValueError`` continues a sentence whose subject is the field.
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    scheme = _URL.match(text)
    if scheme is None:
        return _forgiving_base64(text.encode())
    if scheme[1].lower() != "data":
        message = "is a URL, and images are not fetched from URLs: send the bytes in base64, or as a data URL"
        raise ValueError(message)
    head, _, body = text[scheme.end() :].partition(",")
    if not _BASE64.search(head.strip()):
        message = "is a data URL that is not in base64: send data:image/png;base64,..."
        raise ValueError(message)
    return _forgiving_base64(unquote_to_bytes(body))


def _forgiving_base64(text: bytes) -> bytes:
    """WHATWG's forgiving-base64 decode (https://infra.spec.whatwg.org/#forgiving-base64-decode)."""
    digits = text.translate(None, _WHITESPACE)
    if len(digits) % 4 == 0:
        digits = digits.removesuffix(b"=").removesuffix(b"=")
    foreign = digits.translate(None, _ALPHABET)
    if foreign:
        character = foreign.decode(errors="replace")[0]
        message = f"is not base64, which has no {character!r}: send the image's bytes in base64, or as a data URL"
        raise ValueError(message)
    if len(digits) % 4 == 1:
        message = f"is not base64, which cannot have {len(digits)} characters: send the whole image"
        raise ValueError(message)
    return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4))


ImageBytes = Annotated[
    bytes,
    BeforeValidator(decode_image),
    WithJsonSchema({"type": "string", "format": "byte", "description": "A data URL, or the bytes as base64."}),
]
