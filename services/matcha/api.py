"""The worker of the MatCha service: jobs in, replies out, between LitServe's hooks and the engine."""

import time

from litserve import LitAPI

from services.common.artifact.manifest import Manifest
from services.common.server import QueueSpec, prepare_worker
from services.common.worker.messages import Job, Reply
from services.matcha.backends import Hardware
from services.matcha.engine import ChartQA
from services.matcha.settings import MatchaSettings
from services.matcha.translate import Asked, Translator
from services.matcha.types import LIMITS, Limits
from services.matcha.variants import VariantName
from services.wire.errors import ServiceError


class MatchaAPI(LitAPI):  # type: ignore[misc]  # LitServe has no type hints
    """Runs in the worker process; weights are loaded in ``setup``, so that the object itself travels light."""

    def __init__(self, settings: MatchaSettings, variant: VariantName, manifest: Manifest) -> None:
        super().__init__(
            spec=QueueSpec(), max_batch_size=settings.max_batch_size, batch_timeout=settings.batch_timeout_s
        )
        self._settings = settings
        self._variant = variant
        self._manifest = manifest

    def setup(self, device: str) -> None:  # noqa: ARG002 LitServe names a device; the settings choose
        """Load the model."""
        settings, manifest = self._settings, self._manifest
        prepare_worker(settings)
        hardware = Hardware(settings.threads, settings.device)
        limits = Limits(settings.max_patches_limit, manifest.max_patches or LIMITS.default_patches)
        self._engine = ChartQA.load(settings.model_dir, manifest.header_font, self._variant, hardware, limits)
        self._translator = Translator(settings.max_new_tokens)

    def predict(self, jobs: Job[Asked] | list[Job[Asked]]) -> Reply | list[Reply]:
        """Answer one job, or where batches are asked for a batch of them."""
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
