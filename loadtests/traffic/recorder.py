"""Records outcomes in the run folder; workers of a distributed Locust send them to the master first."""

from pathlib import Path
from typing import Any, Final

from locust.env import Environment
from locust.runners import WorkerRunner

from loadtests.results.outcomes import LoadFailed, Outcome

_NAME: Final = "/v1/answer"


class Recorder:
    """Records each outcome as it arrives, and reports it to Locust, so that its page shows the same latency."""

    def __init__(self, environment: Environment, path: Path) -> None:
        self._events = environment.events
        self._lines: list[str] = []
        self._file = None if isinstance(environment.runner, WorkerRunner) else path.open("ab")
        self._events.report_to_master.add_listener(self._hand_over)
        self._events.worker_report.add_listener(self._take)

    def record(self, outcome: Outcome, *, warm_up: bool) -> None:
        """Record one outcome; warm-up outcomes are only reported to Locust."""
        self._events.request.fire(
            request_type="POST",
            name=f"{_NAME} (warm-up)" if warm_up else _NAME,
            response_time=outcome.waited_for_ms,
            response_length=0,
            exception=outcome.failure.kind.value if isinstance(outcome, LoadFailed) else None,
            context={},
        )
        if not warm_up:
            self._keep([outcome.model_dump_json()])

    def _keep(self, lines: list[str]) -> None:
        if self._file is None:
            self._lines.extend(lines)
        else:
            self._file.write("".join(f"{line}\n" for line in lines).encode())
            self._file.flush()

    def _hand_over(self, client_id: str, data: dict[str, Any]) -> None:  # noqa: ARG002 Locust calls by name
        data["outcomes"], self._lines = self._lines, []

    def _take(self, client_id: str, data: dict[str, Any]) -> None:  # noqa: ARG002 Locust calls by name
        self._keep(data.get("outcomes", []))
