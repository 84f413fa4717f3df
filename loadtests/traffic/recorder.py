"""Where outcomes go: into the run folder, or from a worker of Locust's distributed mode to its master first."""

from pathlib import Path
from typing import Any, Final

from locust.env import Environment
from locust.runners import WorkerRunner

from loadtests.results.outcomes import LoadFailed, Outcome

_NAME: Final = "/v1/answer"


class Recorder:
    """Takes each outcome as it comes. Locust's own page and files get it too, so they tell the same latency."""

    def __init__(self, environment: Environment, path: Path) -> None:
        self._events = environment.events
        self._lines: list[str] = []
        self._file = None if isinstance(environment.runner, WorkerRunner) else path.open("ab")
        self._events.report_to_master.add_listener(self._hand_over)
        self._events.worker_report.add_listener(self._take)

    def record(self, outcome: Outcome, *, warm_up: bool) -> None:
        """Keep one outcome; one of the warm-up is counted by Locust only."""
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
