"""The Qwen2-VL worker: connects LitServe's hooks to the engine."""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from litserve import LitAPI

from services.common.isolation import attempt
from services.common.processes import prepare_worker
from services.common.worker.continuous_batching import ContinuousBatchingLoop
from services.common.worker.loading import Loading
from services.common.worker.messages import End, Job, Reply, failed
from services.qwen_vl.settings import QwenVLSettings, Variant
from services.qwen_vl.types import Limits, Piece
from services.wire.errors import ServiceError

if TYPE_CHECKING:
    from services.qwen_vl.engine import Started
    from services.qwen_vl.translate import Asked

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Active:
    job: "Job[Asked]"
    started: "Started"
    queue_ms: float
    token_times_s: list[float] = field(default_factory=list)
    batch_size: int = 1


class QwenVLAPI(LitAPI):  # type: ignore[misc]  # LitServe has no type hints
    """Runs in the worker process; loads the weights only in ``setup``, so that the object is cheap to pickle."""

    def __init__(self, settings: QwenVLSettings, folder: Path, variant: Variant) -> None:
        super().__init__(loop=ContinuousBatchingLoop(), max_batch_size=settings.max_batch_size)
        self.loading = Loading()
        self._settings = settings
        self._folder = folder
        self._variant = variant
        self._active: dict[str, _Active] = {}

    def setup(self, device: str) -> None:  # noqa: ARG002 LitServe passes a device, but the settings decide
        """Load the model and check its lens."""
        # These import torch, which only the worker needs.
        from services.qwen_vl.engine import VisionQA  # noqa: PLC0415 torch takes seconds to import
        from services.qwen_vl.translate import Translator  # noqa: PLC0415 torch takes seconds to import

        settings = self._settings
        prepare_worker(settings)
        limits = Limits(
            settings.max_pixels, settings.max_prompt_tokens, settings.max_grid_readings, settings.cache_bytes
        )
        with self.loading.explained():
            self._engine = VisionQA.load(self._folder, self._variant, settings.device, settings.threads, limits)
        self._translator = Translator(self._engine.prompts, self._engine.num_layers, settings.max_new_tokens)

    def predict(self, job: "Job[Asked]") -> None:
        """Not used: ``ContinuousBatchingLoop`` calls ``begin`` and ``step``."""
        raise NotImplementedError

    def begin(self, job: "Job[Asked]") -> Iterable[Reply]:
        """Prefill a job's prompt and return its first replies."""
        queue_ms = (time.monotonic() - job.enqueued_s) * 1000
        try:
            started = self._engine.begin(self._translator.question(job.request))
        except ServiceError as error:
            return [error]
        active = self._active[job.id] = _Active(job, started, queue_ms)
        return self._settled(active, started.pieces[0])

    def step(self) -> Iterable[tuple[str, Reply]]:
        """Decode one more token for every job."""
        actives = list(self._active.values())
        if actives:
            pieces = self._engine.step([active.started for active in actives])
            for active, piece in zip(actives, pieces, strict=True):
                active.batch_size = max(active.batch_size, len(actives))
                for reply in self._settled(active, piece):
                    yield active.job.id, reply

    def drop(self, job_id: str) -> None:
        """Drop an active job."""
        self._active.pop(job_id, None)

    def _settled(self, active: _Active, piece: Piece | Exception) -> list[Reply]:
        """The replies to a job's new piece; a job that fails is let go, with an error."""
        active.token_times_s.append(time.monotonic())
        replies = piece if isinstance(piece, Exception) else attempt(partial(self._replies, active, piece))
        if not isinstance(replies, Exception):
            return replies
        self._active.pop(active.job.id, None)
        _log.error("job %s failed", active.job.id, exc_info=replies, extra={"job": active.job.id})
        return [failed(active.job.id)]

    def _replies(self, active: _Active, piece: Piece) -> list[Reply]:
        replies: list[Reply] = []
        if active.job.in_pieces and (piece.text or piece.scores):
            replies.append(self._translator.delta(piece))
        if active.started.ended:
            del self._active[active.job.id]
            replies.append(self._end(active))
        return replies

    def _end(self, active: _Active) -> End:
        answer = self._engine.finish(active.started)
        given = self._translator.answer(active.job.request, answer, active.queue_ms)
        return replace(
            given,
            batch_size=active.batch_size,
            token_times_s=tuple(active.token_times_s),
            cache_bytes=self._engine.cache.nbytes,
        )
