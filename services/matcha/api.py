"""The wire of the MatCha service: a job in, a reply out, between LitServe's hooks and the engine."""

import time

from litserve import LitAPI

from services.common import images, jobs
from services.common.errors import InvalidRequestError
from services.common.jobs import Job, Reply
from services.common.manifest import Manifest
from services.common.schemas import AnswerResponse, MatchaRequest, ModelCard, Timing, Usage
from services.common.server import QueueSpec, prepare_worker
from services.matcha.engine import ChartQA, ChartQuestion
from services.matcha.settings import MatchaSettings

FALLBACK_MAX_PATCHES = 2048
"""Pix2Struct's own default, for a manifest that names none."""


class MatchaAPI(LitAPI):  # type: ignore[misc]  # LitServe has no type hints
    """Runs in the worker process; weights are loaded in ``setup``, so that the object itself travels light."""

    def __init__(self, settings: MatchaSettings, manifest: Manifest, card: ModelCard) -> None:
        super().__init__(spec=QueueSpec())
        self._settings = settings
        self._manifest = manifest
        self._card = card

    def setup(self, device: str) -> None:  # noqa: ARG002 LitServe names a device; a variant chooses its own
        """Load the model."""
        settings = self._settings
        prepare_worker(settings)
        self._engine = ChartQA(settings.model_dir, self._manifest, settings.variant, settings.threads)

    def predict(self, job: Job[MatchaRequest]) -> Reply:
        """Answer one job."""
        return jobs.run(job, self._answer)

    def _answer(self, job: Job[MatchaRequest]) -> AnswerResponse:
        started_s = time.perf_counter()
        chart = images.decode(job.request.image)
        decode_ms = (time.perf_counter() - started_s) * 1000
        answer = self._engine.answer(
            ChartQuestion(
                chart=chart,
                text=job.request.question,
                max_patches=self._max_patches(job.request),
                max_new_tokens=job.request.max_new_tokens or self._settings.max_new_tokens,
            )
        )
        return AnswerResponse(
            id=job.id,
            model=self._card.id,
            variant=self._card.variant,
            answer=answer.text,
            finish_reason=answer.finish_reason,
            usage=Usage(
                image_tokens=answer.patches, prompt_tokens=answer.patches, completion_tokens=answer.completion_tokens
            ),
            timing=Timing(
                queue_ms=0.0,
                preprocess_ms=decode_ms + answer.preprocess_ms,
                inference_ms=answer.inference_ms,
                total_ms=0.0,
            ),
        )

    def _max_patches(self, request: MatchaRequest) -> int:
        wanted = request.max_patches or self._manifest.max_patches or FALLBACK_MAX_PATCHES
        limit = self._settings.max_patches_limit
        if request.max_patches and wanted > limit:
            message = f"'max_patches' is {wanted}, this server allows {limit}"
            raise InvalidRequestError(message, "max_patches")
        return min(wanted, limit)
