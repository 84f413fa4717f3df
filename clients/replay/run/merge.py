"""Merge shards into the run folder that a single run over the whole selection would have written."""

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from clients.replay.errors import ReplayError
from clients.replay.run.folder import RunFolder
from clients.replay.run.record import RunRecord, RunStatus
from clients.replay.run.resume import require_same_run, whole_lines_bytes

Parts = Sequence[tuple[Path, RunRecord]]


def merge(shards: Sequence[Path], out: Path) -> RunRecord:
    """Write the merged run; if it is already there, do nothing.

    The record is written last, so a Kubernetes Job can be retried whatever ended the first attempt.

    Raises:
        ReplayError: the folders are not exactly the shards of one run, each once; or ``out`` contains another run.
    """
    folder, parts = RunFolder(out), [(path, RunFolder(path).read_record()) for path in shards]
    record = _merged_record(parts)
    if folder.record.exists():
        if folder.read_record() == record:
            return record
        folder.require_free()
    folder.create()
    first = RunFolder(shards[0])
    try:
        _append_outcomes([RunFolder(path) for path in shards], folder)
        if first.problems.exists():
            shutil.copyfile(first.problems, folder.problems)
    except OSError as error:
        message = f"The shards cannot be merged into {out}: {error.strerror} ({error.filename})."
        raise ReplayError(message) from error
    folder.write_record(record)
    return record


def _merged_record(parts: Parts) -> RunRecord:
    _, first = parts[0]
    _require_each_once(parts)
    for path, record in parts:
        require_same_run(path, record.model_copy(update={"shard": None}), first.model_copy(update={"shard": None}))
    records = [record for _, record in parts]
    ends = [record.ended for record in records]
    killed, finished = None in ends, all(record.status is RunStatus.FINISHED for record in records)
    return first.model_copy(
        update={
            "shard": None,
            "merged": len(parts),
            "resumed": sum(record.resumed for record in records),
            "concurrency": sum(record.concurrency for record in records),
            "started": min(record.started for record in records),
            "ended": None if killed else max(end for end in ends if end),
            "status": RunStatus.FINISHED if finished else RunStatus.INTERRUPTED,
        }
    )


def _require_each_once(parts: Parts) -> None:
    if whole := [str(path) for path, record in parts if record.shard is None]:
        message = f"{', '.join(whole)} is not a shard: only runs made with --shard can be merged."
        raise ReplayError(message)
    shards = [record.shard for _, record in parts if record.shard]
    count = max(shard.count for shard in shards)
    given = Counter(shard.index for shard in shards)
    missing = [f"{index}/{count}" for index in range(count) if index not in given]
    twice = [f"{index}/{count}" for index, times in given.items() if times > 1]
    if missing or twice or any(shard.count != count for shard in shards):
        faults = ", ".join([*(f"{name} is missing" for name in missing), *(f"{name} is given twice" for name in twice)])
        message = f"Each of the {count} shards is needed once: {faults or 'they have different counts'}."
        raise ReplayError(message)


def _append_outcomes(shards: Sequence[RunFolder], folder: RunFolder) -> None:
    draft = folder.outcomes.with_suffix(".jsonl.part")
    with draft.open("wb") as target:
        for shard in shards:
            if shard.outcomes.exists():
                _copy_lines(shard.outcomes, target)
            for image in sorted(shard.pictures.glob("*.webp")):
                shutil.copyfile(image, folder.pictures / image.name)
    draft.replace(folder.outcomes)


def _copy_lines(source: Path, target: IO[bytes]) -> None:
    left = whole_lines_bytes(source)
    with source.open("rb") as file:
        while left and (block := file.read(min(left, 1 << 20))):
            target.write(block)
            left -= len(block)
