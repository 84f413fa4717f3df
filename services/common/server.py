"""Builds and runs a LitServer; elsewhere the project uses little of LitServe beyond its ``LitAPI``.

LitServe (0.2.19) provides worker processes, a queue and batching. This module adds the rest: our routes replace its
own, a worker that dies while loading is detected, SIGTERM stops the service like Ctrl-C, logs are JSON, and nothing
is written to the working directory.
"""

import logging
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.managers import SyncManager
from multiprocessing.process import BaseProcess
from typing import Any, Final, NoReturn

from litserve import LitAPI, LitServer
from litserve.specs.base import LitSpec
from litserve.utils import WorkerSetupStatus

from services.common import logs
from services.common.artifact.manifest import ManifestError
from services.common.cpu import WORKER_ENVIRONMENT
from services.common.http import docs
from services.common.http.middleware import PlainHTTP
from services.common.http.routes import RequestTypes, Routes
from services.common.processes import StopSignal, end_children, end_with_parent
from services.common.settings import ServerSettings
from services.common.worker.state import WorkerState
from services.wire import __version__
from services.wire.answer import ModelCard

_log = logging.getLogger(__name__)
_LISTENING_EVERY_S: Final = 0.05
_LONGEST_TEMPORARY_FOLDER: Final = 75
"""Of the 107 bytes of a socket's path, multiprocessing takes 32: a folder of its own and the socket's name."""
_REPLACED_PATHS = frozenset({"/", "/health", "/info"}) | docs.PAGES
"""Pages of LitServe and FastAPI, replaced by our own."""


class QueueSpec(LitSpec):  # type: ignore[misc]  # LitServe has no type hints
    """Connects our routes to LitServe's queue. Jobs and replies pass through unchanged."""

    def __init__(self) -> None:
        super().__init__()
        self.api_path = "/v1/answer"
        self.worker = WorkerState()

    def __getstate__(self) -> dict[str, Any]:
        # A worker must not get the HTTP process's buffer.
        return {**super().__getstate__(), "response_buffer": None, "data_streamer": None}

    def decode_request(self, request: object, _context: object = None) -> object:
        """The job, unchanged."""
        return request

    def encode_response(self, output: object, _context: object = None) -> object:
        """The reply, unchanged."""
        return output


class _Server(LitServer):  # type: ignore[misc]  # LitServe has no type hints
    stop: StopSignal
    address: tuple[str, int]
    verify: Callable[[], None]

    def verify_worker_status(self) -> None:
        """Verify the model's files, then wait until the worker is ready; LitServe would wait forever for a killed one.

        The worker loads meanwhile. What is wrong with a file is said before what came of loading it.
        """
        logs.take_over_libraries()  # ``run`` gave LitServe's logger a plain-text handler
        self.verify()
        while not self.ready():
            self.stop.check()
            failed = WorkerSetupStatus.ERROR in self.workers_setup_status.values()
            if failed or not all(worker.is_alive() for worker in self.inference_workers):
                message = "the worker could not load the model; the log above says why"
                raise RuntimeError(message)
            time.sleep(0.05)

    def ready(self) -> bool:
        """Whether all workers have loaded the model."""
        return all(status == WorkerSetupStatus.READY for status in self.workers_setup_status.values())

    def _start_worker_monitoring(self, _manager: SyncManager, http: dict[int, BaseProcess]) -> None:
        """Block until a signal arrives or a required process dies.

        LitServe calls this after its forks, just before it waits for shutdown. Its own monitoring thread misses the
        death of an HTTP process, and at shutdown queries a manager that no longer exists.
        """
        self.stop.check()
        needed = [*self.inference_workers, *http.values()]
        ended = [process.sentinel for process in needed]
        while not wait(ended, timeout=_LISTENING_EVERY_S):
            if _listens(*self.address):
                url = f"http://{_in_url(self.address[0])}:{self.address[1]}"
                _log.info("ready on %s, docs at %s/docs", url, url)
                wait(ended)
                break
        message = f"{' and '.join(process.name for process in needed if not process.is_alive())} died"
        raise RuntimeError(message)


def serve(
    api: LitAPI, settings: ServerSettings, card: ModelCard, wire: RequestTypes, verify: Callable[[], None]
) -> NoReturn:
    """Load the model and serve until SIGTERM or Ctrl-C; requests in flight are answered first.

    ``verify`` verifies the model's files while the worker loads them, and raises ``ManifestError``. Exits with 0 after
    a signal, with 1 if the port is taken, the model fails verification or to load, or the worker dies.
    """
    logs.configure(settings.log_level, settings.log_format)
    os.register_at_fork(after_in_child=end_with_parent)  # LitServe forks its queues' process and the HTTP process
    os.environ.update(WORKER_ENVIRONMENT | os.environ)  # for the worker, which is spawned
    _refuse_long_temporary_folder()
    _refuse_taken_port(settings.host, settings.port)
    server = _Server(api, accelerator="cpu", devices=1, timeout=settings.timeout_s)
    server.verify, server.address = verify, (settings.host, settings.port)
    app = server.app
    app.title, app.version = "Tallyglass", __version__
    app.router.routes[:] = [route for route in app.router.routes if getattr(route, "path", "") not in _REPLACED_PATHS]
    docs.install(app)
    Routes(settings, card, wire, api.spec, server.ready).install(app)
    sys.exit(_run(server, settings, card))


def _run(server: _Server, settings: ServerSettings, card: ModelCard) -> int:
    server.stop = StopSignal()
    try:
        _log.info("loading", extra={"model": card.id, "variant": card.variant, "port": settings.port})
        for warning in card.warnings:
            _log.warning(warning)
        server.run(
            host=settings.host,
            port=settings.port,
            http=PlainHTTP,
            num_api_servers=1,  # one HTTP process, so that one place counts requests
            log_level="warning",
            generate_client_file=False,
            log_config=None,
            access_log=False,
        )
    except KeyboardInterrupt:  # before HTTP was up; later ones are handled inside run
        _log.info("stopped while loading")
    except ManifestError as error:
        _log.error("cannot serve: %s", error)
        return 1
    except (RuntimeError, EOFError, ConnectionError, BrokenPipeError) as error:  # a process that failed or died
        _log.error("shutting down: %s (%s)", error, type(error).__name__)
        return 1
    finally:
        end_children()
    _log.info("stopped")
    return 0


def _listens(host: str, port: int) -> bool:
    """Whether the HTTP process accepts connections; one to all of the machine's addresses reaches its loopback."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _refuse_taken_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        _log.error("cannot listen on %s port %d: %s; choose another port", host, port, error.strerror)
        sys.exit(1)


def _refuse_long_temporary_folder() -> None:
    """The processes talk over sockets in the temporary folder, and the system limits the length of their paths."""
    try:
        folder = tempfile.gettempdir()
    except FileNotFoundError as error:
        _log.error("there is no temporary folder that can be written to: set TMPDIR to one (%s)", error.strerror)
        sys.exit(1)
    if len(folder) > _LONGEST_TEMPORARY_FOLDER:
        message = "the path in TMPDIR has %d characters, too many for the sockets in it: set it to one of at most %d"
        _log.error(message, len(folder), _LONGEST_TEMPORARY_FOLDER)
        sys.exit(1)
