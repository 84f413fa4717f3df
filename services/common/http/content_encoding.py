"""Undo a body's ``Content-Encoding`` piece by piece, so that no more is ever in memory than the limit allows."""

import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Final

from services.wire.errors import MalformedError, TooLargeError, UnsupportedEncodingError

_GZIP: Final = 16 + zlib.MAX_WBITS
_ZLIB: Final = zlib.MAX_WBITS
_RAW: Final = -zlib.MAX_WBITS
_CAN_BE_ZLIB: Final = 0x0F
_DEFLATE: Final = 8

_WINDOWS: Final[dict[str, Callable[[int], int]]] = {
    "gzip": lambda _: _GZIP,
    "x-gzip": lambda _: _GZIP,
    # RFC 9110 means zlib's format by it; some clients send bare deflate
    "deflate": lambda first: _ZLIB if first & _CAN_BE_ZLIB == _DEFLATE else _RAW,
}
_MANY: Final = 1 << 16
_LAYERS: Final = 3


async def bounded(chunks: AsyncIterator[bytes], encodings: str, max_bytes: int) -> AsyncGenerator[bytes, None]:
    """The chunks without the encodings that the header lists, each at most ``max_bytes`` long in total.

    Raises:
        TooLargeError: there are more bytes, before or after decoding; the rest of them is not read.
        UnsupportedEncodingError: an encoding is not one of gzip and deflate.
        MalformedError: the bytes are not what the header says.
    """
    decoded = _limited(chunks, max_bytes)
    names = [name.strip().lower() for name in encodings.split(",")]
    names = [name for name in names if name not in {"", "identity"}]
    if len(names) > _LAYERS:
        message = f"the body has {len(names)} encodings, at most {_LAYERS} are undone: send gzip, deflate or neither"
        raise UnsupportedEncodingError(message)
    for name in reversed(names):
        if name not in _WINDOWS:
            message = f"the body has the Content-Encoding {name!r}, which is not read: send gzip, deflate or neither"
            raise UnsupportedEncodingError(message)
        decoded = _limited(_decompressed(decoded, name), max_bytes)
    async for chunk in decoded:
        yield chunk


async def _limited(chunks: AsyncIterator[bytes], max_bytes: int) -> AsyncGenerator[bytes, None]:
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            message = f"the body is larger than {max_bytes} bytes: scale the image down"
            raise TooLargeError(message)
        yield chunk


async def _decompressed(chunks: AsyncIterator[bytes], name: str) -> AsyncGenerator[bytes, None]:
    """The decompressed pieces; a gzip body may have several members."""
    stream = None
    try:
        async for chunk in chunks:
            rest = chunk
            while rest:
                if stream is None or stream.eof:
                    stream = zlib.decompressobj(_WINDOWS[name](rest[0]))
                yield stream.decompress(rest, _MANY)
                rest = stream.unused_data if stream.eof else stream.unconsumed_tail
        whole = stream is not None and stream.eof
    except zlib.error as error:
        message = f"the body is not {name}, as its Content-Encoding says ({error})"
        raise MalformedError(message) from error
    if not whole:
        message = f"the body breaks off: its Content-Encoding is {name}, and its end is missing"
        raise MalformedError(message)
