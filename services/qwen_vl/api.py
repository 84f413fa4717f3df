"""The wire of the Qwen2-VL service: a job in, a reply out, between LitServe's hooks and the engine."""

import time

from litserve import LitAPI

from services.common import images, jobs
from services.common.jobs import Job, Reply
from services.common.schemas import (
    AnswerResponse,
    LayerTrace,
    LensStep,
    LensTrace,
    ModelCard,
    QwenVLRequest,
    Timing,
    TokenProb,
    Usage,
)
from services.common.server import QueueSpec, prepare_worker
from services.qwen_vl.settings import QwenVLSettings
from services.qwen_vl.values import LayerReading, PictureAnswer, PictureQuestion


class QwenVLAPI(LitAPI):  # type: ignore[misc]  # LitServe has no type hints
    """Runs in the worker process; weights are loaded in ``setup``, so that the object itself travels light."""

    def __init__(self, settings: QwenVLSettings, card: ModelCard) -> None:
        super().__init__(spec=QueueSpec())
        self._settings = settings
        self._card = card

    def setup(self, device: str) -> None:  # noqa: ARG002 LitServe names a device; both variants compute on the CPU
        """Load the model, and check its lens."""
        from services.qwen_vl.engine import VisionQA  # noqa: PLC0415 torch, which only the worker needs

        settings = self._settings
        prepare_worker(settings)
        self._engine = VisionQA(settings.model_dir, settings.variant, settings.max_pixels, settings.threads)

    def predict(self, job: Job[QwenVLRequest]) -> Reply:
        """Answer one job."""
        return jobs.run(job, self._answer)

    def _answer(self, job: Job[QwenVLRequest]) -> AnswerResponse:
        started_s = time.perf_counter()
        picture = images.decode(job.request.image)
        decode_ms = (time.perf_counter() - started_s) * 1000
        answer = self._engine.answer(
            PictureQuestion(
                picture=picture,
                text=job.request.question,
                max_new_tokens=job.request.max_new_tokens or self._settings.max_new_tokens,
                lens_top_k=job.request.lens.top_k if job.request.lens else None,
            )
        )
        return AnswerResponse(
            id=job.id,
            model=self._card.id,
            variant=self._card.variant,
            answer=answer.text,
            finish_reason=answer.finish_reason,
            usage=Usage(
                image_tokens=answer.image_tokens,
                prompt_tokens=answer.prompt_tokens,
                completion_tokens=len(answer.token_ids),
            ),
            timing=Timing(
                queue_ms=0.0,
                preprocess_ms=decode_ms + answer.preprocess_ms,
                inference_ms=answer.inference_ms,
                total_ms=0.0,
            ),
            lens=self._lens_trace(answer),
        )

    def _lens_trace(self, answer: PictureAnswer) -> LensTrace | None:
        if answer.lens is None:
            return None
        first = answer.token_ids[0]
        layers = [self._layer_trace(reading) for reading in answer.lens]
        step = LensStep(token=self._engine.prompts.token(first), token_id=first, layers=layers)
        return LensTrace(num_layers=self._engine.num_layers, steps=[step])

    def _layer_trace(self, reading: LayerReading) -> LayerTrace:
        token = self._engine.prompts.token
        pairs = zip(reading.token_ids, reading.probs, strict=True)
        return LayerTrace(
            layer=reading.layer,
            top=[TokenProb(token=token(token_id), token_id=token_id, prob=prob) for token_id, prob in pairs],
            entropy=reading.entropy,
            answer_prob=reading.answer_prob,
            answer_rank=reading.answer_rank,
        )
