"""Both ends of the channel in one process: a dispatcher, and a worker that the test plays."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from services.common.worker.channel import packed, read_message
from services.common.worker.dispatcher import Dispatcher
from services.common.worker.messages import Begun, Cancel, Job, Loaded, Replied, Reply
from services.wire.contract import WireRequest


def job(name: str = "a", timeout_s: float = 5.0) -> Job[WireRequest]:
    """A job that has so many seconds."""
    now = time.monotonic()
    return Job(name, WireRequest(), now, now + timeout_s, timeout_s)


class PlayedWorker:
    """The worker's end, as the test wants it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def tell(self, message: object) -> None:
        """Send a message."""
        self._writer.write(packed(message))

    async def hears(self) -> Any:
        """The next message."""
        return await asyncio.wait_for(read_message(self._reader), timeout=5)

    async def takes(self) -> str:
        """Begin the next job; its id."""
        message = await self.hears()
        assert isinstance(message, Job)
        self.tell(Begun(message.id))
        return message.id

    async def hears_cancel(self) -> str:
        """The id of the job that is cancelled next."""
        message = await self.hears()
        assert isinstance(message, Cancel)
        return message.job_id

    def answers(self, job_id: str, *replies: Reply) -> None:
        """Reply to a job."""
        for reply in replies:
            self.tell(Replied(job_id, reply))

    def dies(self) -> None:
        """Break the connection off."""
        self._writer.transport.abort()


class Building:
    """A dispatcher that listens, and workers that come to it."""

    def __init__(self, dispatcher: Dispatcher, path: Path) -> None:
        self.dispatcher = dispatcher
        self._path = path
        self.workers: list[PlayedWorker] = []

    async def worker(self) -> PlayedWorker:
        """A worker that has loaded the model."""
        worker = PlayedWorker(*await asyncio.open_unix_connection(self._path))
        self.workers.append(worker)
        worker.tell(Loaded(7))
        await until(self.dispatcher.is_ready)
        return worker


@asynccontextmanager
async def building(slots: int = 2, **options: Any) -> AsyncIterator[Building]:
    """A dispatcher that listens for workers."""
    with TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as channel:
        path = Path(folder) / "worker"
        channel.bind(str(path))
        dispatcher = Dispatcher(slots, options.pop("is_verified", lambda: True), **options)
        async with dispatcher.listening(channel):
            house = Building(dispatcher, path)
            yield house
            for worker in house.workers:
                worker.dies()


async def until(condition: Any) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 what it waits for has no event
            await asyncio.sleep(0.001)
