"""Prometheus metrics, all collected in the single HTTP process, where every request begins and ends.

The worker returns what it measured with each answer, so no multi-process metrics are needed. Where vLLM has the same
figure it has the same name here, with our prefix in place of its own.
"""

from itertools import pairwise
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, disable_created_metrics
from prometheus_client.exposition import choose_encoder

from services.common.telemetry.processes import ProcessesCollector, Watched
from services.common.worker.messages import WorkerAnswer
from services.wire.answer import ModelCard

Outcome = Literal["refused", "cancelled", "deadline_exceeded", "failed"]
"""How a request ends that is not answered."""

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_TOKEN_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0)
_BATCHES: Final = (1, 2, 4, 8, 16, 32, 64)
_PIXELS: Final = (1e4, 5e4, 1e5, 2.5e5, 5e5, 1e6, 2e6, 4e6, 8e6, 16e6, 32e6)

disable_created_metrics()  # type: ignore[no-untyped-call]  # they would double the series, and nothing reads them


class Metrics:
    """The metrics of one service, in their own registry.

    ``objective_ms`` is the time within which requests should be answered: the latency has a bucket that ends there.
    """

    def __init__(self, objective_ms: float | None = None) -> None:
        self.registry = CollectorRegistry()
        self.info = Info("tallyglass_model", "The model being served.", registry=self.registry)
        self.in_flight = self._gauge("requests_in_flight", "Requests that have come and are not yet answered.")
        self.requests = self._counter("requests", "Requests by route, HTTP status and variant.", "route status variant")
        self.unanswered = self._counter(
            "requests_unanswered", "Requests without an answer, by how they ended and why.", "outcome reason"
        )
        self.success = self._counter(
            "request_success", "Answers by why they ended there: a stop, or the limit in length.", "finished_reason"
        )
        objective = () if objective_ms is None else (objective_ms / 1000,)
        self.total_seconds = self._histogram(
            "e2e_request_latency_seconds",
            "From the request to the finished answer or the refusal.",
            sorted({*_SECONDS, *objective}),
            "route status",
        )
        for seconds in objective:
            self._gauge("objective_seconds", "The time within which requests should be answered.").set(seconds)
        self.queue_seconds = self._histogram("request_queue_time_seconds", "Time spent waiting for the worker.")
        self.preprocess_seconds = self._histogram(
            "request_preprocess_time_seconds", "Time spent decoding and preprocessing the image."
        )
        self.inference_seconds = self._histogram("request_inference_time_seconds", "Time spent in the model.")
        self.first_token_seconds = self._histogram(
            "time_to_first_token_seconds", "From the request to the first token of its answer."
        )
        self.between_seconds = self._histogram(
            "inter_token_latency_seconds", "From one token of an answer to the next.", _TOKEN_SECONDS
        )
        self.batch_size = self._histogram(
            "request_batch_size", "Requests computed together with an answered one, itself included.", _BATCHES
        )
        self.image_pixels = self._histogram("image_pixels", "Pixels of each image that was taken.", _PIXELS)
        self.prompt_tokens = self._counter("prompt_tokens", "Prompt tokens of answers, image tokens included.")
        self.cached_tokens = self._counter("prompt_tokens_cached", "Prompt tokens taken from the prefix cache.")
        self.generation_tokens = self._counter("generation_tokens", "Tokens generated.")
        self.prefix_cache = self._counter("prefix_cache", "Answers by whether the prefix cache was hit.", "result")
        self.cache_bytes = self._gauge("prefix_cache_bytes", "Size of the prefix cache.")
        self.lens = self._counter("lens_requests", "Answers with a lens.")

    def describe(self, card: ModelCard) -> None:
        """Label the service with the model it serves."""
        self.info.info({"model": card.id, "variant": card.variant, "revision": card.revision})

    def watch_worker(self, worker: Watched) -> None:
        """Report what is known of the worker, and the memory of the processes, whenever metrics are asked for."""
        for name, text, value in (
            ("num_requests_running", "Requests that the worker is computing.", lambda: worker.running),
            ("num_requests_waiting", "Requests that wait for the worker.", lambda: worker.waiting),
            ("worker_heartbeat_age_seconds", "Time since the worker was last heard of.", lambda: worker.silent_s),
        ):
            self._gauge(name, text).set_function(value)
        self.registry.register(ProcessesCollector(worker))

    def answered(self, answer: WorkerAnswer, started_s: float) -> None:
        """Record one answer: its parts, its tokens, and its first token's time after the request came."""
        self.queue_seconds.observe(answer.queue_ms / 1000)
        self.preprocess_seconds.observe(answer.preprocess_ms / 1000)
        self.inference_seconds.observe(answer.inference_ms / 1000)
        if answer.token_times_s:
            self.first_token_seconds.observe(answer.token_times_s[0] - started_s)
        for before, after in pairwise(answer.token_times_s):
            self.between_seconds.observe(after - before)
        self.batch_size.observe(answer.batch_size)
        self.success.labels(answer.finish_reason).inc()
        self.prompt_tokens.inc(answer.usage.prompt_tokens)
        self.cached_tokens.inc(answer.usage.cached_tokens)
        self.generation_tokens.inc(answer.usage.completion_tokens)
        if answer.cache is not None:
            self.prefix_cache.labels(answer.cache).inc()
        if answer.cache_bytes is not None:
            self.cache_bytes.set(answer.cache_bytes)
        if answer.lens is not None:
            self.lens.inc()

    def ended(self, route: str, status: int, variant: str, seconds: float) -> None:
        """Record the end of any request, answered or not, and the time that it took."""
        self.requests.labels(route, status, variant).inc()
        self.total_seconds.labels(route, status).observe(seconds)

    def not_answered(self, outcome: Outcome, reason: str) -> None:
        """Record that a request was not answered; ``reason`` is one of a few, such as an error's code."""
        self.unanswered.labels(outcome, reason).inc()

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """The metrics and their content type, as an ``Accept`` header asks: OpenMetrics, or Prometheus' text format."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def _counter(self, name: str, text: str, labels: str = "") -> Counter:
        return Counter(f"tallyglass_{name}", text, labels.split(), registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"tallyglass_{name}", text, registry=self.registry)

    def _histogram(
        self, name: str, text: str, bounds: tuple[float, ...] | list[float] = _SECONDS, labels: str = ""
    ) -> Histogram:
        return Histogram(f"tallyglass_{name}", text, labels.split(), buckets=bounds, registry=self.registry)
