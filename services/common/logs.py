"""One JSON object a line on standard error, from our own code and from the libraries under it."""

import logging
import sys

from pythonjsonlogger.json import JsonFormatter

LIBRARIES = ("litserve", "uvicorn", "uvicorn.error", "uvicorn.access")
"""Loggers that bring handlers of their own; theirs are taken off, so that no plain line is mixed in."""


def configure(level: str) -> None:
    """Send everything of at least ``level`` through the one formatter. Safe to call again, in every process."""
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
    """Let what the libraries log go through our formatter alone; for after each step that gives them another."""
    for name in LIBRARIES:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.WARNING)
