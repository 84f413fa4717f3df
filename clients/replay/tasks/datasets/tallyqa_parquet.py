"""TallyQA from the hub: parquet files with one row per image and its list of questions.

A row is ``{"image": {"bytes", …}, "qa": [{"question", "answer", "is_simple", "data_source"?}, …]}``. Questions have no
id there; they are identified by file, row and position in the list. Reading parquet requires pyarrow, which is large,
so it is a separate extra (``replay-parquet``).
"""

import errno
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from clients.replay.errors import ReplayError
from clients.replay.tasks.files import Chosen, files_in
from clients.replay.tasks.sample import SkippedEntry, SkipReason, Split
from clients.replay.tasks.task import ImageSource

_ROWS_AT_A_TIME: Final = 64
_GROUPS_KEPT: Final = 4  # workers read neighbouring images


@dataclass(frozen=True, slots=True)
class ParquetRow:
    """An image's key and its questions."""

    key: str
    entries: list[object]


def shards(data: Path, split: Split) -> Chosen:
    """The split's parquet files, in the folder itself or in its ``data``; of one name in both, the folder's own.

    Raises:
        ReplayError: a folder cannot be read.
    """
    places = [place for place in (data, data / "data") if place.is_dir()]
    found = sorted(path for place in places for path in files_in(place) if _is_shard(path.name, split))
    return Chosen.of(found, lambda path: path.name)


def _is_shard(name: str, split: Split) -> bool:
    return name.startswith(f"{split}-") and name.lower().endswith(".parquet")


def is_row(key: str) -> bool:
    """Whether an image key names a parquet row rather than a file: a folder may contain one split of each."""
    return ".parquet#" in key.lower()


def rows(files: Iterable[Path], data: Path) -> Iterator[ParquetRow | SkippedEntry]:
    """Every image's key and questions, without reading the pixels.

    Raises:
        ReplayError: pyarrow is not installed.
    """
    parquet, arrow_error = _parquet(), _arrow_error()
    for path in files:
        where, row = path.relative_to(data).as_posix(), 0
        try:
            with parquet.ParquetFile(path) as file:
                for batch in file.iter_batches(_ROWS_AT_A_TIME, columns=["qa"]):
                    for entries in batch.column("qa").to_pylist():
                        yield ParquetRow(f"{where}#{row}", entries or [])
                        row += 1
        except (arrow_error, OSError, KeyError) as error:
            yield SkippedEntry(
                SkipReason.BROKEN_FILE, f"{where}#{row}", f"cannot be read as parquet from here on: {error}"
            )


def pictures(data: Path) -> ImageSource:
    """Reads an image by its key, ``FILE#ROW``; row groups are cached, so consecutive images read each only once."""
    groups = lru_cache(_GROUPS_KEPT)(_read_group)
    lock = threading.Lock()

    def read(key: str) -> bytes:
        name, _, row = key.rpartition("#")
        try:
            with lock:
                offset, images = groups(data / name, _group_of(data / name, int(row)))
            content = images[int(row) - offset].as_py()
        except (_arrow_error(), LookupError, ValueError) as error:
            raise OSError(errno.EIO, f"the row cannot be read: {error}") from error
        if not content or not content.get("bytes"):
            raise FileNotFoundError(errno.ENOENT, "the row has no image")
        pixels: bytes = content["bytes"]
        return pixels

    return read


@lru_cache(maxsize=64)
def _starts(path: Path) -> tuple[int, ...]:
    with _parquet().ParquetFile(path) as file:
        sizes = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    return tuple(sum(sizes[:number]) for number in range(len(sizes)))


def _group_of(path: Path, row: int) -> int:
    return max(number for number, start in enumerate(_starts(path)) if start <= row)


def _read_group(path: Path, group: int) -> tuple[int, Any]:  # Any: pyarrow has no type hints
    with _parquet().ParquetFile(path) as file:
        column = file.read_row_group(group, columns=["image"]).column("image")
    return _starts(path)[group], column


def _parquet() -> ModuleType:
    try:
        import pyarrow.parquet as pq  # noqa: PLC0415 - large, and needed only for these files
    except ImportError as error:
        message = (
            "Reading parquet files needs pyarrow: install the extra replay-parquet (pip install '.[replay-parquet]')."
        )
        raise ReplayError(message) from error
    module: ModuleType = pq
    return module


def _arrow_error() -> type[Exception]:
    import pyarrow as pa  # noqa: PLC0415 - as above

    error: type[Exception] = pa.ArrowException
    return error
