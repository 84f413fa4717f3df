"""Measurements on a machine that others use: each try knows how much of the machine others took meanwhile."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import psutil

T = TypeVar("T")

_CALM_PERCENT: Final = 4.0
_PAUSE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Tries(Generic[T]):
    """Tries chosen for their calm, not for their outcome; the most that others took during one of them."""

    values: list[T]
    disturbed_percent: float


def calm_tries(
    measure: Callable[[], T], wanted: int, patience_s: float, processes: Sequence[psutil.Process] = ()
) -> Tries[T]:
    """Measure until enough tries were calm, or patience is over; then the calmest.

    What this process and the named ones with their children use is not counted as others'.
    """
    own = [psutil.Process(), *processes]
    tries: list[tuple[float, T]] = []
    until_s = time.monotonic() + patience_s
    while True:
        others, started_s = _others_s(own), time.monotonic()
        value = measure()
        spent = (time.monotonic() - started_s) * (psutil.cpu_count() or 1)
        tries.append((max(0.0, 100 * (_others_s(own) - others) / spent), value))
        calm = sum(share <= _CALM_PERCENT for share, _ in tries)
        if calm >= wanted or (len(tries) >= wanted and time.monotonic() > until_s):
            break
        if tries[-1][0] > _CALM_PERCENT:
            time.sleep(_PAUSE_S)
    chosen = sorted(tries, key=lambda item: item[0])[:wanted]
    return Tries([value for _, value in chosen], max(share for share, _ in chosen))


def _others_s(own: Sequence[psutil.Process]) -> float:
    machine = psutil.cpu_times()
    busy = machine.user + machine.nice + machine.system + machine.irq + machine.softirq + machine.steal
    family = [member for process in own for member in (process, *process.children(recursive=True))]
    return busy - sum(_used_s(member.cpu_times()) for member in family)


def _used_s(times: Any) -> float:  # noqa: ANN401 psutil's type differs by system
    """What a process used, and those of its children that have ended."""
    return float(times.user + times.system + times.children_user + times.children_system)
