"""Progress of a run: a bar on a terminal, a plain line every ten seconds elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_LINE_EVERY_S: Final = 10.0


class Tick(Protocol):
    """Called once per outcome."""

    def __call__(self, *, failed: bool) -> None:
        """Count one more outcome."""


@contextmanager
def progress(console: Console, title: str, total: int, before: int = 0) -> Iterator[Tick]:
    """Show progress while the block runs; the block calls the yielded tick once per outcome.

    ``before`` of the ``total`` were done by an earlier session: they count as done, but not towards the rate.
    """
    meter = _Meter(total, before)
    if console.is_terminal:
        with _bar(console) as bar:
            yield _BarTick(bar, title, meter)
    else:
        yield _LineTick(console, title, meter)


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.1f}/s"),
        TextColumn("{task.fields[failures]} failed"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


class _Meter:
    def __init__(self, total: int, before: int) -> None:
        self.total = total
        self.done = self._before = before
        self.failures = 0
        self._started = time.monotonic()

    def count(self, *, failed: bool) -> None:
        self.done += 1
        self.failures += failed

    @property
    def rate(self) -> float:
        return (self.done - self._before) / max(time.monotonic() - self._started, 1e-9)

    @property
    def left_s(self) -> float:
        return (self.total - self.done) / self.rate


class _BarTick:
    def __init__(self, bar: Progress, title: str, meter: _Meter) -> None:
        self._bar = bar
        self._meter = meter
        self._task = bar.add_task(title, total=meter.total, completed=meter.done, rate=0.0, failures=0)

    def __call__(self, *, failed: bool) -> None:
        self._meter.count(failed=failed)
        self._bar.update(self._task, advance=1, rate=self._meter.rate, failures=self._meter.failures)


class _LineTick:
    def __init__(self, console: Console, title: str, meter: _Meter) -> None:
        self._console = console
        self._title = title
        self._meter = meter
        self._next_line = time.monotonic() + _LINE_EVERY_S

    def __call__(self, *, failed: bool) -> None:
        meter = self._meter
        meter.count(failed=failed)
        if time.monotonic() < self._next_line and meter.done < meter.total:
            return
        self._next_line = time.monotonic() + _LINE_EVERY_S
        self._console.print(
            f"{self._title}: {meter.done}/{meter.total}, {meter.rate:.1f}/s, {meter.failures} failed, "
            f"{meter.left_s:.0f} s left",
            highlight=False,
            soft_wrap=True,
        )
