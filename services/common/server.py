"""Builds and runs a service: our routes on LitServe's processes.

Logs are JSON, SIGTERM stops the service like Ctrl-C, and nothing is written to the working directory.
"""

import logging
import math
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from typing import Final, NoReturn

from litserve import LitAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from services.common import logs
from services.common.artifact.manifest import ManifestError
from services.common.artifact.reading import LoadError
from services.common.cpu import WORKER_ENVIRONMENT
from services.common.http import docs
from services.common.http.guards.connections import protocol
from services.common.http.routes import RequestTypes, Routes
from services.common.processes import StopSignal, end_children, end_with_parent
from services.common.settings import ServerSettings
from services.common.worker.supervisor import Supervisor
from services.wire.answer import ModelCard

_log = logging.getLogger(__name__)
_LONGEST_TEMPORARY_FOLDER: Final = 75
"""Of the 107 bytes of a socket's path, multiprocessing takes 32: a folder of its own and the socket's name."""
_REPLACED_PATHS = frozenset({"/", "/health", "/info", "/predict"}) | docs.PAGES
"""Pages of LitServe and FastAPI, replaced by our own."""


def serve(
    api: LitAPI, settings: ServerSettings, card: ModelCard, wire: RequestTypes, verify: Callable[[], None]
) -> NoReturn:
    """Load the model and serve until SIGTERM or Ctrl-C; requests in flight are answered first.

    ``api`` has a ``loading``, in which its ``setup`` loads the model. ``verify`` verifies the model's files meanwhile,
    and raises ``ManifestError``. Exits with 0 after a signal, with 1 if the port is taken, the model fails verification
    or to load, or the worker dies.
    """
    logs.configure(settings.log_level, settings.log_format)
    os.register_at_fork(after_in_child=end_with_parent)  # LitServe forks its queues' process and the HTTP process
    os.environ.update(WORKER_ENVIRONMENT | os.environ)  # for the worker, which is spawned
    _refuse_long_temporary_folder()
    _refuse_taken_port(settings.host, settings.port)
    server = Supervisor(api, settings, verify)
    server.prepare()
    app = server.app
    app.router.routes[:] = [route for route in app.router.routes if getattr(route, "path", "") not in _REPLACED_PATHS]
    docs.install(app)
    routes = Routes(settings, card, wire, server.dispatcher)
    routes.install(app)
    server.admission = routes.admission
    sys.exit(_run(server, settings, card, protocol(settings, routes.count_refusal)))


def _run(server: Supervisor, settings: ServerSettings, card: ModelCard, http: type[H11Protocol]) -> int:
    server.stop = StopSignal()
    try:
        _log.info("loading", extra={"model": card.id, "variant": card.variant, "port": settings.port})
        for warning in card.warnings:
            _log.warning(warning)
        server.run(
            host=settings.host,
            port=settings.port,
            http=http,
            timeout_keep_alive=math.ceil(
                settings.header_timeout_s
            ),  # the connections have their own, which comes first
            num_api_servers=1,  # one HTTP process, so that one place counts requests
            log_level="warning",
            generate_client_file=False,
            log_config=None,
            access_log=False,
            server_header=False,
            ssl_certfile=settings.tls_cert,
            ssl_keyfile=settings.tls_key,
        )
    except KeyboardInterrupt:  # before HTTP was up; later ones are handled inside run
        _log.info("stopped while loading")
    except (ManifestError, LoadError) as error:
        _log.error("cannot serve: %s", error)
        return 1
    except (RuntimeError, EOFError, ConnectionError, BrokenPipeError) as error:  # a process that failed or died
        _log.error("shutting down: %s (%s)", error, type(error).__name__)
        return 1
    finally:
        end_children()
    _log.info("stopped")
    return 0


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
