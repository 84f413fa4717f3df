"""Measure on a shared machine, recording how much CPU other processes used during each try."""

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
    """Tries selected by how calm the machine was, not by outcome, and the largest share of CPU used by others."""

    values: list[T]
    disturbed_percent: float


def calm_tries(
    measure: Callable[[], T], wanted: int, patience_s: float, processes: Sequence[psutil.Process] = ()
) -> Tries[T]:
    """Measure until enough tries were calm or the patience has run out, and return the calmest.

    CPU time of this process, of ``processes`` and of their children does not count as other load.
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
    """CPU seconds used by a process and its ended children."""
    return float(times.user + times.system + times.children_user + times.children_system)
