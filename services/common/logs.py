"""Logging on standard error, for our code and the libraries it uses: JSON lines, or a form to read on a terminal."""

import json
import logging
import sys
from typing import Literal

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

LIBRARIES = ("litserve", "uvicorn", "uvicorn.error", "uvicorn.access")
"""Loggers that install their own plain-text handlers, which are removed."""

LogFormat = Literal["auto", "json", "text"]


class TextFormatter(logging.Formatter):
    """A line to read: time, level, message, and what a record has besides as ``name=value``.

    Whatever a client sent stays within its line: control characters are escaped, a traceback is indented.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 the standard library's name
        """The line without a traceback."""
        line = _escaped(super().formatMessage(record))
        more = {name: value for name, value in vars(record).items() if name not in RESERVED_ATTRS}
        return " ".join([line, *(f"{name}={_readable(value)}" for name, value in more.items())])

    def formatException(self, ei: object) -> str:  # noqa: N802 as above
        """The traceback, which no client can make look like a line of its own."""
        lines = super().formatException(ei).splitlines()  # type: ignore[arg-type]  # what logging gives
        return "\n".join(f"  {_escaped(line)}" for line in lines)


def configure(level: str, form: LogFormat = "auto") -> None:
    """Log everything at ``level`` or above. Safe to call repeatedly, in every process.

    ``auto`` is ``text`` if standard error is a terminal, else ``json``.
    """
    handler = logging.StreamHandler(sys.stderr)
    as_text = form == "text" or (form == "auto" and sys.stderr.isatty())
    handler.setFormatter(TextFormatter() if as_text else _json())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    take_over_libraries()


def take_over_libraries() -> None:
    """Route the libraries' logs through our formatter; call again after any step that adds a handler."""
    for name in LIBRARIES:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.WARNING)


def _json() -> JsonFormatter:
    return JsonFormatter(
        ["asctime", "levelname", "name", "message"],
        rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        datefmt="%Y-%m-%dT%H:%M:%S%z",
    )


def _escaped(text: str) -> str:
    return "".join(sign if sign.isprintable() else json.dumps(sign)[1:-1] for sign in text)


def _readable(value: object) -> str:
    """As it is if that is one plain word, else quoted, with what is not printable escaped."""
    text = str(value)
    plain = text.isascii() and text.isprintable() and not set(text) & {" ", '"', "="}
    return text if text and plain else json.dumps(text)
