"""The MatCha worker: connects LitServe's hooks to the engine."""

import logging
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from litserve import LitAPI

from services.common.artifact.manifest import Manifest
from services.common.isolation import attempt
from services.common.processes import prepare_worker
from services.common.worker.batching import BatchingLoop
from services.common.worker.loading import Loading
from services.common.worker.messages import Job, Reply, WorkerAnswer, failed
from services.matcha.backends import Hardware
from services.matcha.engine import ChartQA
from services.matcha.settings import MatchaSettings
from services.matcha.translate import Asked, Translator
from services.matcha.types import LIMITS, ChartAnswer, Limits
from services.matcha.variants import VariantName
from services.wire.errors import ServiceError

_log = logging.getLogger(__name__)


class MatchaAPI(LitAPI):  # type: ignore[misc]  # LitServe has no type hints
    """Runs in the worker process; loads the weights only in ``setup``, so that the object is cheap to pickle."""

    def __init__(self, settings: MatchaSettings, folder: Path, variant: VariantName, manifest: Manifest) -> None:
        super().__init__(
            loop=BatchingLoop(), max_batch_size=settings.max_batch_size, batch_timeout=settings.batch_timeout_s
        )
        self.loading = Loading()
        self._settings = settings
        self._folder = folder
        self._variant = variant
        self._manifest = manifest

    def setup(self, device: str) -> None:  # noqa: ARG002 LitServe passes a device, but the settings decide
        """Load the model and warm it up."""
        settings, manifest = self._settings, self._manifest
        prepare_worker(settings)
        hardware = Hardware(settings.threads, settings.device)
        limits = Limits(settings.max_patches_limit, manifest.max_patches or LIMITS.default_patches)
        with self.loading.explained():
            self._engine = ChartQA.load(
                self._folder, manifest.header_font, self._variant, hardware, limits, settings.header_fonts
            )
        self._engine.warm_up()
        self._translator = Translator(settings.max_new_tokens)

    def predict(self, jobs: list[Job[Asked]]) -> None:
        """Not used: ``BatchingLoop`` calls ``answer``."""
        raise NotImplementedError

    def answer(self, jobs: list[Job[Asked]]) -> list[Reply]:
        """The end of each job of a batch."""
        begun_s = time.monotonic()
        questions = [attempt(partial(self._translator.question, job.request)) for job in jobs]
        answers = iter(self._engine.answer([asked for asked in questions if not isinstance(asked, Exception)]))
        return [
            self._reply(job, asked if isinstance(asked, Exception) else next(answers), begun_s, len(jobs))
            for job, asked in zip(jobs, questions, strict=True)
        ]

    def _reply(self, job: Job[Asked], answer: ChartAnswer | Exception, begun_s: float, batch_size: int) -> Reply:
        queue_ms = (begun_s - job.enqueued_s) * 1000
        if not isinstance(answer, Exception):
            reply = attempt(partial(self._translator.answer, job.request, answer, queue_ms))
        else:
            reply = answer
        if isinstance(reply, WorkerAnswer):
            return replace(reply, batch_size=batch_size)
        if isinstance(reply, ServiceError):
            return reply
        _log.error("job %s failed", job.id, exc_info=reply, extra={"job": job.id})
        return failed(job.id)
