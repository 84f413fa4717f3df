"""The channel between the HTTP process and a worker: pickled messages, each after its length, over a Unix socket.

The socket lies in a folder that only this user can open, as unpickling runs what it reads. Unlike LitServe's queues,
which are behind a third process, a channel breaks at once when the other end dies, and costs one copy per message.
"""

import asyncio
import pickle
import socket
import struct
from pathlib import Path
from typing import Any, Final

_LENGTH: Final = struct.Struct(">Q")


def packed(message: object) -> bytes:
    """A message as it is sent."""
    content = pickle.dumps(message)
    return _LENGTH.pack(len(content)) + content


async def read_message(reader: asyncio.StreamReader) -> Any:  # noqa: ANN401 whatever was sent
    """The next message; ``EOFError`` once the other end is closed, in the middle of a message too."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        content = await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise EOFError from error
    return pickle.loads(content)  # noqa: S301 from our own process


class Channel:
    """The worker's end; ``send`` and ``receive`` block, and may be called in two threads."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._incoming = self._socket.makefile("rb")

    def send(self, message: object) -> None:
        """Send a message."""
        self._socket.sendall(packed(message))

    def receive(self) -> Any:  # noqa: ANN401 whatever was sent
        """Wait for the next message; ``EOFError`` once the other end is closed."""
        header = self._incoming.read(_LENGTH.size)
        if len(header) < _LENGTH.size:
            raise EOFError
        (length,) = _LENGTH.unpack(header)
        return pickle.loads(self._incoming.read(length))  # noqa: S301 from our own process

    def close(self) -> None:
        """Close this end."""
        self._incoming.close()
        self._socket.close()
