"""Prometheus metrics, all collected in the single HTTP process, where every request begins and ends.

The worker returns its timings with each reply, so no multi-process metrics are needed.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

from services.wire.answer import AnswerResponse, ModelCard

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The metrics of one service, in their own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "tallyglass_requests", "Requests by route and HTTP status.", ["route", "status"], registry=self.registry
        )
        self.in_flight = Gauge("tallyglass_requests_in_flight", "Requests being answered.", registry=self.registry)
        self.request_seconds = self._histogram("request", "From reading the request to the finished answer.")
        self.queue_seconds = self._histogram("queue", "Time spent waiting for the worker.")
        self.preprocess_seconds = self._histogram("preprocess", "Time spent decoding and preprocessing the image.")
        self.inference_seconds = self._histogram("inference", "Time spent in the model.")
        self.completion_tokens = Counter(
            "tallyglass_completion_tokens", "Tokens generated, by finish reason.", ["reason"], registry=self.registry
        )
        self.prefix_cache = Counter(
            "tallyglass_prefix_cache",
            "Answers by whether the prefix cache was hit.",
            ["result"],
            registry=self.registry,
        )
        self.cached_tokens = Counter(
            "tallyglass_cached_tokens", "Prompt tokens taken from the prefix cache.", registry=self.registry
        )
        self.info = Info("tallyglass_model", "The model being served.", registry=self.registry)

    def describe(self, card: ModelCard) -> None:
        """Label the service with the model it serves."""
        self.info.info({"model": card.id, "variant": card.variant, "revision": card.revision})

    def answered(self, response: AnswerResponse) -> None:
        """Record one answer and its timings."""
        self.request_seconds.observe(response.timing.total_ms / 1000)
        self.queue_seconds.observe(response.timing.queue_ms / 1000)
        self.preprocess_seconds.observe(response.timing.preprocess_ms / 1000)
        self.inference_seconds.observe(response.timing.inference_ms / 1000)
        self.completion_tokens.labels(response.finish_reason).inc(response.usage.completion_tokens)
        self.cached_tokens.inc(response.usage.cached_tokens)
        if response.cache is not None:
            self.prefix_cache.labels(response.cache).inc()

    def render(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(f"tallyglass_{name}_seconds", text, buckets=_SECONDS, registry=self.registry)
