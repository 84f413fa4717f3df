"""The MatCha worker: connects LitServe's hooks to the engine."""

import time
from pathlib import Path

from litserve import LitAPI

from services.common.artifact.manifest import Manifest
from services.common.processes import prepare_worker
from services.common.server import QueueSpec
from services.common.worker.messages import Job, Reply
from services.matcha.backends import Hardware
from services.matcha.engine import ChartQA
from services.matcha.settings import MatchaSettings
from services.matcha.translate import Asked, Translator
from services.matcha.types import LIMITS, Limits
from services.matcha.variants import VariantName
from services.wire.errors import ServiceError


class MatchaAPI(LitAPI):  # type: ignore[misc]  # LitServe has no type hints
    """Runs in the worker process; loads the weights only in ``setup``, so that the object is cheap to pickle."""

    def __init__(self, settings: MatchaSettings, folder: Path, variant: VariantName, manifest: Manifest) -> None:
        super().__init__(
            spec=QueueSpec(), max_batch_size=settings.max_batch_size, batch_timeout=settings.batch_timeout_s
        )
        self._settings = settings
        self._folder = folder
        self._variant = variant
        self._manifest = manifest

    def setup(self, device: str) -> None:  # noqa: ARG002 LitServe passes a device, but the settings decide
        """Load the model."""
        settings, manifest = self._settings, self._manifest
        prepare_worker(settings)
        hardware = Hardware(settings.threads, settings.device)
        limits = Limits(settings.max_patches_limit, manifest.max_patches or LIMITS.default_patches)
        self._engine = ChartQA.load(self._folder, manifest.header_font, self._variant, hardware, limits)
        self._translator = Translator(settings.max_new_tokens)

    def predict(self, jobs: Job[Asked] | list[Job[Asked]]) -> Reply | list[Reply]:
        """Answer a job, or a batch of jobs if batching is on."""
        return self._answer(jobs) if isinstance(jobs, list) else self._answer([jobs])[0]

    def _answer(self, jobs: list[Job[Asked]]) -> list[Reply]:
        begun_s = time.monotonic()
        answers = self._engine.answer([self._translator.question(job.request) for job in jobs])
        return [
            answer
            if isinstance(answer, ServiceError)
            else self._translator.answer(job.request, answer, (begun_s - job.enqueued_s) * 1000)
            for job, answer in zip(jobs, answers, strict=True)
        ]
