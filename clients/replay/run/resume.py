"""Resume an interrupted run: no outcome is lost, no question is asked twice, and none is added."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from clients.replay.errors import ReplayError
from clients.replay.run.outcomes import Failed, OutcomeReader, Scored
from clients.replay.run.record import RunRecord

_BLOCK_BYTES: Final = 1 << 16


def require_same_run(path: Path, earlier: RunRecord, present: RunRecord) -> None:
    """Refuse to continue a run under different conditions.

    Raises:
        ReplayError: the questions, the options, the served model or the shard differ.
    """
    now = present.asked_how
    differing = [name for name, value in earlier.asked_how.items() if value != now[name]]
    if earlier.shard != present.shard:
        differing.append("shard")
    if differing:
        differences = "; ".join(_difference(name, earlier, present) for name in differing)
        message = f"{path} contains a different run: {differences}. Choose another folder with --out."
        raise ReplayError(message)


def cut_torn_line(path: Path) -> None:
    """Remove a last line that was cut short by a kill; its question will be asked again.

    Raises:
        ReplayError: the file cannot be changed.
    """
    if not path.exists():
        return
    try:
        with path.open("r+b") as file:
            file.truncate(whole_lines_bytes(path))
    except OSError as error:
        message = f"{path} cannot be changed: {error.strerror}."
        raise ReplayError(message) from error


def whole_lines_bytes(path: Path) -> int:
    """The length of a file without a last line that was cut short by a kill."""
    size = path.stat().st_size
    with path.open("rb") as file:
        for start in range(size - size % _BLOCK_BYTES, -1, -_BLOCK_BYTES):
            file.seek(start)
            place = file.read(_BLOCK_BYTES).rfind(b"\n")
            if place >= 0:
                return start + place + 1
    return 0


def ids_to_skip(path: Path, *, again: bool) -> Iterator[str]:
    """The ids of questions that have an outcome; without failed ones if those are to be asked ``again``."""
    if path.exists():
        for _, outcome in OutcomeReader(path):
            if not (again and isinstance(outcome, Failed)):
                yield outcome.sample_id


def holds_answer(path: Path) -> bool:
    """Whether any question of a run was answered so far."""
    return path.exists() and any(isinstance(outcome, Scored) for _, outcome in OutcomeReader(path))


def _difference(name: str, earlier: RunRecord, present: RunRecord) -> str:
    if name == "selection":
        before, after = earlier.selection.model_dump(), present.selection.model_dump()
        changed = [key for key in before if before[key] != after[key]]
        return "; ".join(f"{key} was {before[key]}, is {after[key]}" for key in changed)
    return f"{name} was {getattr(earlier, name)}, is {getattr(present, name)}"
