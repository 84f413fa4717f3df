"""Tells how far a training is: a bar on a terminal, a line now and then elsewhere."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class TrainingProgress:
    """A context that shows steps as they are done."""

    def __init__(self, total_steps: int) -> None:
        self._console = Console()
        self._total = total_steps
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
        """Take it away."""
        self._bar.stop()

    def show(self, step: int, loss: float, accuracy: float | None) -> None:
        """Show the steps done, their latest loss, and the latest accuracy on validation images, if there is one."""
        text = f"loss {loss:.3f}" + ("" if accuracy is None else f", {accuracy:.1f} % right")
        self._bar.update(self._task, completed=step, description=text)
        if not self._console.is_terminal:
            self._console.print(f"step {step} of {self._total}: {text}")
