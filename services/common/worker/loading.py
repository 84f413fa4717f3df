"""A model that does not load: the worker tells the main process why, in a sentence, and ends."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context

from services.common.artifact.manifest import ManifestError
from services.common.artifact.reading import LoadError

_log = logging.getLogger(__name__)


class Loading:
    """Made in the main process, and handed to the worker with its API."""

    def __init__(self) -> None:
        self._heard, self._told = get_context("spawn").Pipe(duplex=False)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Load the model in this block, in the worker; a failure that is no defect ends the process with 1.

        Its traceback is logged at the level ``debug``. A defect is raised.
        """
        try:
            yield
        except Exception as error:
            reason = _reason(error)
            if not reason:
                raise
            _log.debug("the model does not load", exc_info=error)
            self._told.send(reason)
            sys.exit(1)

    def failure(self) -> str | None:
        """In the main process: why the model does not load; None while nothing is known."""
        return str(self._heard.recv()) if self._heard.poll() else None


def _reason(error: Exception) -> str | None:
    if isinstance(error, ManifestError | LoadError):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("services"):
        return f"the package {error.name} is not installed: install the extra of the variant, or serve another variant"
    return None
