"""JSON lines logging on standard error, for our code and the libraries it uses."""

import logging
import sys

from pythonjsonlogger.json import JsonFormatter

LIBRARIES = ("litserve", "uvicorn", "uvicorn.error", "uvicorn.access")
"""Loggers that install their own plain-text handlers, which are removed."""


def configure(level: str) -> None:
    """Log everything at ``level`` or above as JSON. Safe to call repeatedly, in every process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter(
            ["asctime", "levelname", "name", "message"],
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            datefmt="%Y-%m-%dT%H:%M:%S%z",
        )
    )
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
