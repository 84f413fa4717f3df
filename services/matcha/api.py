"""The wire of the MatCha service: a job in, a reply out, between LitServe's hooks and the engine."""

import time

from litserve import LitAPI

from services.common import images
from services.common.artifact.manifest import Manifest
from services.common.server import QueueSpec, prepare_worker
from services.common.worker.messages import Job, Reply
from services.matcha.backends import Hardware
from services.matcha.engine import ChartAnswer, ChartQA, ChartQuestion
from services.matcha.settings import MatchaSettings, Variant
from services.wire.answer import AnswerResponse, MatchaRequest, ModelCard, Timing, Usage
from services.wire.errors import InvalidRequestError, ServiceError

FALLBACK_MAX_PATCHES = 2048
"""Pix2Struct's own default, for a manifest that names none."""


class MatchaAPI(LitAPI):  # type: ignore[misc]  # LitServe has no type hints
    """Runs in the worker process; weights are loaded in ``setup``, so that the object itself travels light."""

    def __init__(self, settings: MatchaSettings, variant: Variant, manifest: Manifest, card: ModelCard) -> None:
        super().__init__(
            spec=QueueSpec(), max_batch_size=settings.max_batch_size, batch_timeout=settings.batch_timeout_s
        )
        self._settings = settings
        self._variant = variant
        self._manifest = manifest
        self._card = card

    def setup(self, device: str) -> None:  # noqa: ARG002 LitServe names a device; the settings choose
        """Load the model."""
        settings = self._settings
        prepare_worker(settings)
        hardware = Hardware(settings.threads, settings.device)
        self._engine = ChartQA(settings.model_dir, self._manifest.header_font, self._variant, hardware)

    def predict(self, jobs: Job[MatchaRequest] | list[Job[MatchaRequest]]) -> Reply | list[Reply]:
        """Answer one job, or where batches are asked for a batch of them."""
        return self._answer(jobs) if isinstance(jobs, list) else self._answer([jobs])[0]

    def _answer(self, jobs: list[Job[MatchaRequest]]) -> list[Reply]:
        begun_s = time.monotonic()
        asked = [self._question(job) for job in jobs]
        questions = [each for each in asked if isinstance(each, ChartQuestion)]
        decoded_ms = (time.monotonic() - begun_s) * 1000
        answers = iter(self._engine.answer(questions))
        found = [each if isinstance(each, ServiceError) else next(answers) for each in asked]
        return [self._reply(job, each, begun_s, decoded_ms) for job, each in zip(jobs, found, strict=True)]

    def _question(self, job: Job[MatchaRequest]) -> ChartQuestion | ServiceError:
        try:
            return ChartQuestion(
                chart=images.decode(job.request.image),
                text=job.request.question,
                max_patches=self._max_patches(job.request),
                max_new_tokens=job.request.max_new_tokens or self._settings.max_new_tokens,
            )
        except ServiceError as error:
            return error

    def _reply(
        self, job: Job[MatchaRequest], answer: ChartAnswer | ServiceError, begun_s: float, decoded_ms: float
    ) -> Reply:
        if isinstance(answer, ServiceError):
            return answer
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
                queue_ms=(begun_s - job.enqueued_s) * 1000,
                preprocess_ms=decoded_ms + answer.preprocess_ms,
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
