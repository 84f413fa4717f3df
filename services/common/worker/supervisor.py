"""A LitServer whose HTTP comes up while the model loads, and which notices the end of each of its processes.

LitServe (0.2.19) starts the processes; ``Dispatcher`` and ``WorkerLoop`` are what they talk with.
"""

import asyncio
import logging
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.managers import SyncManager
from multiprocessing.process import BaseProcess
from multiprocessing.util import get_temp_dir
from pathlib import Path
from typing import Final, Protocol

from fastapi import FastAPI
from litserve import LitAPI, LitServer
from litserve.utils import WorkerSetupStatus

from services.common import logs
from services.common.artifact.reading import LoadError
from services.common.processes import StopSignal
from services.common.settings import ServerSettings
from services.common.worker.dispatcher import Dispatcher

_log = logging.getLogger(__name__)
_LOOK_EVERY_S: Final = 0.05
_PAUSES_S: Final = (1, 2, 4, 8, 16, 32, 60)
_STEADY_S: Final = 60.0
"""A worker that has run for so long is started anew after the shortest pause."""
_CLOSING_S: Final = 5.0


class Admission(Protocol):
    """Who is in the building, and whether anybody else may come in."""

    def drain(self) -> None:
        """Admit nobody any more."""

    async def emptied(self) -> None:
        """Return once nobody is in the building."""


class Supervisor(LitServer):  # type: ignore[misc]  # LitServe has no type hints
    """Runs the HTTP process and the worker.

    Args:
        api: the worker's code; it is told the channel to the HTTP process.
        verify: verifies the model's files while the worker loads them; raises ``ManifestError``.
    """

    stop: StopSignal
    inference_workers: list[BaseProcess]

    def __init__(self, api: LitAPI, settings: ServerSettings, verify: Callable[[], None]) -> None:
        super().__init__(api, accelerator="cpu", devices=1, timeout=settings.timeout_s)
        self.uvicorn_graceful_timeout = settings.drain_s + settings.timeout_s + _CLOSING_S
        self._settings = settings
        self._verify = verify
        self._verified = get_context("fork").Event()
        self.admission: Admission
        self.dispatcher = Dispatcher(
            slots=2 * api.max_batch_size,
            is_verified=self._verified.is_set,
            stuck_after_s=settings.stuck_after_s,
            restarts=settings.restart_worker,
        )
        self._api = api
        self._channel = socket.socket(socket.AF_UNIX)

    def prepare(self) -> None:
        """Before the port is bound: start LitServe's manager, which would inherit it and hold it open, and open the
        socket on which the HTTP process listens for workers, in a folder of this user's alone.
        """
        self._manager: SyncManager = super()._init_manager(1)
        self._api.channel = Path(get_temp_dir()) / "worker"
        self._channel.bind(str(self._api.channel))
        self._channel.listen()

    def _init_manager(self, _num_api_servers: int) -> SyncManager:
        return self._manager

    def _start_server(
        self, port: int, number: int, log_level: str, sockets: list[socket.socket], kind: str, **options: object
    ) -> dict[int, BaseProcess]:
        """Start the HTTP process, and leave the port to it: closed there, it is closed."""
        started: dict[int, BaseProcess] = super()._start_server(port, number, log_level, sockets, kind, **options)
        for listening in sockets:
            listening.close()
        return started

    def verify_worker_status(self) -> None:
        """Do not wait for the worker, as LitServe would: HTTP comes up while it loads."""
        logs.take_over_libraries()  # ``run`` gave LitServe's logger a plain-text handler

    @asynccontextmanager
    async def lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        """Listen for the worker, and drain on SIGTERM, in the HTTP process."""
        loop, stop = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)  # uvicorn's handler
        assert callable(stop)  # noqa: S101 uvicorn has set it

        async def drain() -> None:
            """The port closes last: what the system accepts there and nobody reads would be cut off."""
            self.admission.drain()
            await asyncio.sleep(self._settings.drain_s if self.dispatcher.is_ready() else 0)
            await self.admission.emptied()
            stop(signal.SIGTERM, None)

        draining: list[asyncio.Task[None]] = []  # the loop itself does not keep its tasks
        loop.add_signal_handler(signal.SIGTERM, lambda: draining.append(loop.create_task(drain())))
        # not LitServe's own, which waits for its queue, of which nothing comes, a second at a time
        async with self.dispatcher.listening(self._channel):
            yield

    def _start_worker_monitoring(self, _manager: SyncManager, http: dict[int, BaseProcess]) -> None:
        """Verify the model, then block until a signal arrives or a process dies that is not started anew.

        LitServe calls this after its forks, just before it waits for shutdown. Its own monitoring misses the death of
        an HTTP process, and at shutdown queries a manager that no longer exists.
        """
        self.stop.check()
        self._verify()
        self._verified.set()
        (server,) = http.values()
        self._wait_until_ready(server)
        pauses = iter(_PAUSES_S)
        while True:
            started_s = time.monotonic()
            self._wait_for_an_end(server)
            if not self._settings.restart_worker:
                raise RuntimeError(_died(*self.inference_workers))
            pauses = iter(_PAUSES_S) if time.monotonic() - started_s > _STEADY_S else pauses
            self._restart_worker(server, next(pauses, _PAUSES_S[-1]))

    def _wait_until_ready(self, server: BaseProcess) -> None:
        while not self._has_loaded() or not self._listens():
            self.stop.check()
            if not server.is_alive():
                raise RuntimeError(_died(server))
            self._refuse_failure()
            time.sleep(_LOOK_EVERY_S)
        scheme, host = "https" if self._settings.tls_cert else "http", self._settings.host
        url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{self._settings.port}"
        _log.info("ready on %s, docs at %s/docs", url, url)

    def _refuse_failure(self) -> None:
        ended = [worker.exitcode for worker in self.inference_workers if not worker.is_alive()]
        if reason := self._api.loading.failure():
            raise LoadError(reason)
        if -signal.SIGKILL in ended:
            message = (
                "the worker was killed while the model was loading, most likely because memory ran out: "
                "serve a smaller variant, or give the service more memory"
            )
            raise LoadError(message)
        if ended:
            message = "the worker could not load the model; the log above says why"
            raise RuntimeError(message)

    def _wait_for_an_end(self, server: BaseProcess) -> None:
        wait([worker.sentinel for worker in self.inference_workers] + [server.sentinel])
        if not server.is_alive():
            raise RuntimeError(_died(server))

    def _restart_worker(self, server: BaseProcess, pause_s: float) -> None:
        why = self._api.loading.failure() or _died(*self.inference_workers)
        _log.error("%s: it is started anew in %g s", why, pause_s)
        if wait([server.sentinel], timeout=pause_s):
            raise RuntimeError(_died(server))
        self.inference_workers = [self.launch_single_inference_worker(self._api, 0)]

    def _has_loaded(self) -> bool:
        return all(status == WorkerSetupStatus.READY for status in self.workers_setup_status.values())

    def _listens(self) -> bool:
        """Whether the HTTP process accepts connections; one to all of the machine's addresses reaches its loopback."""
        try:
            socket.create_connection((self._settings.host, self._settings.port), timeout=1).close()
        except OSError:
            return False
        return True


def _died(*processes: BaseProcess) -> str:
    return f"{' and '.join(process.name for process in processes if not process.is_alive())} died"
