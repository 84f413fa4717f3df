"""API keys from a file, one a line, which is read again when it changes."""

import hashlib
import hmac
import logging
import re
from pathlib import Path
from typing import Final

_log = logging.getLogger(__name__)
_KEY: Final = re.compile(r"[A-Za-z0-9._~+/-]{16,512}=*")
"""What a ``Bearer`` header can carry (RFC 6750), and not so short that it can be guessed."""
_Version = tuple[int, int, int]


class KeyFileError(ValueError):
    """A file without usable keys; the message names the line, never what is in it."""


class KeyFile:
    """The keys of a file; a change of the file, or of the link to it, takes effect with the next request.

    A file that can no longer be used leaves the last good keys in force, and an error in the log.

    Raises:
        KeyFileError: the file cannot be read, has no key, or has a line that is not one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version = _version(path)
        self._digests = _read(path)
        self._failure = ""

    def holds(self, key: str) -> bool:
        """Whether this is one of the keys, in a time that does not tell how much of it is right."""
        self._refresh()
        digest = _digest(key)
        return sum(hmac.compare_digest(digest, known) for known in self._digests) > 0  # all are compared

    def _refresh(self) -> None:
        try:
            version = _version(self._path)
            if version != self._version:
                self._digests = _read(self._path)
                self._version = version
                _log.info("read %d API keys anew", len(self._digests))
            self._failure = ""
        except KeyFileError as error:
            if str(error) != self._failure:  # once, not with every request
                self._failure = str(error)
                _log.error("the API keys stay as they were: %s", error)


def _version(path: Path) -> _Version:
    """What changes with the file; in a Kubernetes volume the path is a link, and the link changes."""
    try:
        status = path.stat()
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror}): name a file with one key a line"
        raise KeyFileError(message) from error
    return status.st_mtime_ns, status.st_ino, status.st_size


def _read(path: Path) -> list[bytes]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror}): name a file with one key a line"
        raise KeyFileError(message) from error
    except UnicodeDecodeError as error:
        message = f"{path} is not text in UTF-8: write one key a line"
        raise KeyFileError(message) from error
    keys = []
    for number, line in enumerate(lines, 1):
        key = line.partition("#")[0].strip()
        if key and not _KEY.fullmatch(key):
            message = (
                f"line {number} of {path} is not a key: write one of 16 to 512 letters, digits and ._~+/- a line, "
                "and comments after #"
            )
            raise KeyFileError(message)
        keys += [_digest(key)] if key else []
    if not keys:
        message = f"{path} has no key: write one a line"
        raise KeyFileError(message)
    return keys


def _digest(key: str) -> bytes:
    """Digests have one length, so that comparing them does not tell the key's."""
    return hashlib.sha256(key.encode(errors="replace")).digest()
