"""Shows how far a training is: a bar on a terminal, lines elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class TrainingProgress:
    """A context that shows the steps done so far."""

    def __init__(self, total_steps: int) -> None:
        self._console = Console()
        self._total = total_steps
        self._started = time.monotonic()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._task = self._bar.add_task("training", total=total_steps)

    def __enter__(self) -> Self:
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the bar as it stands."""
        self._bar.stop()

    def show(self, step: int, measured: str) -> None:
        """Show that ``step`` steps are done, and what was measured last."""
        self._bar.update(self._task, completed=step, description=measured)
        if not self._console.is_terminal:
            seconds = time.monotonic() - self._started
            self._console.print(f"step {step} of {self._total}, {seconds:.0f} s: {measured}", highlight=False)
