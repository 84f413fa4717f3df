"""All drills on one server, and where their measurements go."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from benchmarks.measurements import Measurement
from loadtests.soak.aborts import abort
from loadtests.soak.ends import kill_workers, stop_servers
from loadtests.soak.overload import overload
from loadtests.soak.target import Target

_RATE_PER_S: Final = 20.0
"""Of the load under which servers end: some two thirds of what one core answers on the embedded models."""


class Drill(StrEnum):
    """The drills, in the order in which they are done."""

    OVERLOAD = "overload"
    KILL = "kill"
    STOP = "stop"
    ABORT = "abort"


@dataclass(frozen=True)
class Amount:
    """How much of each: seconds of each overload, rounds of kills and of signals, aborted requests."""

    seconds: float = 120
    rounds: int = 10
    aborts: int = 10_000


def soak(target: Target, drills: Sequence[Drill], amount: Amount, out: Path, how: str) -> Iterator[list[Measurement]]:
    """Do the drills one after the other; yields what each has shown, its server's name in front.

    Raises:
        LoadTestError: a load could not be generated.
    """
    for drill in drills:
        found = _DRILLS[drill](target, out / drill, how, amount)
        yield [each.model_copy(update={"figure": f"{target.name} {target.service}, {each.figure}"}) for each in found]


_DRILLS: Final[Mapping[Drill, Callable[[Target, Path, str, Amount], list[Measurement]]]] = {
    Drill.OVERLOAD: lambda target, out, how, amount: overload(target, out, how, amount.seconds),
    Drill.KILL: lambda target, out, how, amount: kill_workers(target, out, how, _RATE_PER_S, amount.rounds),
    Drill.STOP: lambda target, out, how, amount: stop_servers(target, out, how, _RATE_PER_S, amount.rounds),
    Drill.ABORT: lambda target, out, how, amount: abort(target, out, how, amount.aborts),
}
