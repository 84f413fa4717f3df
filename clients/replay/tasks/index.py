"""The questions of a dataset, indexed in SQLite so that the dataset is never held in memory.

A split is scanned once into a temporary file; drawing, sharding and resuming delete from it, and the rest is read back
image by image. Only numbers are in memory: the positions of the questions that a draw keeps.
"""

import dataclasses
import json
import random
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from clients.replay.scoring.gold import AnswerType
from clients.replay.tasks.sample import Sample, SkippedEntry, SkipReason

_SCHEMA: Final = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA temp_store = FILE;
    CREATE TABLE images (number INTEGER PRIMARY KEY, key TEXT UNIQUE);
    CREATE TABLE samples (place INTEGER PRIMARY KEY, id TEXT UNIQUE, image INTEGER, fields TEXT);
    CREATE TABLE problems (kind TEXT, place TEXT, detail TEXT);
    CREATE TABLE kept (place INTEGER PRIMARY KEY);
"""
_FIELDS: Final = tuple(field.name for field in dataclasses.fields(Sample))
_IN_ORDER: Final = "ORDER BY image, place"


class SampleIndex:
    """The samples and problems of a split; images in the order they were found, and the questions of each likewise.

    A second sample with the same id becomes a problem.
    """

    def __init__(
        self, entries: Iterable[Sample | SkippedEntry], wanted: Callable[[Sample], bool] = lambda _: True
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="replay-")
        self._db = sqlite3.connect(Path(self._folder.name) / "index.sqlite", isolation_level=None)
        self._db.executescript(_SCHEMA)
        self.passed_over = 0
        try:
            self._fill(entries, wanted)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the temporary file."""
        self._db.close()
        self._folder.cleanup()

    def _fill(self, entries: Iterable[Sample | SkippedEntry], wanted: Callable[[Sample], bool]) -> None:
        self._db.execute("BEGIN")
        for entry in entries:
            if isinstance(entry, SkippedEntry):
                self._note(entry)
            elif wanted(entry):
                self._add(entry)
            else:
                self.passed_over += 1
        self._db.execute("CREATE INDEX by_picture ON samples (image, place)")
        self._db.execute("COMMIT")

    def _note(self, problem: SkippedEntry) -> None:
        where, detail = (text.encode("utf-8", "backslashreplace").decode() for text in (problem.where, problem.detail))
        self._db.execute("INSERT INTO problems VALUES (?, ?, ?)", (problem.kind.value, where, detail))

    def _add(self, sample: Sample) -> None:
        self._db.execute("INSERT OR IGNORE INTO images (key) VALUES (?)", (sample.image_key,))
        fields = json.dumps({name: getattr(sample, name) for name in _FIELDS})
        added = self._db.execute(
            "INSERT OR IGNORE INTO samples (id, image, fields) SELECT ?, number, ? FROM images WHERE key = ?",
            (sample.id, fields, sample.image_key),
        )
        if not added.rowcount:
            self._note(SkippedEntry(SkipReason.DUPLICATE_ID, sample.id, "an earlier question has this id"))

    def questions(self) -> int:
        """Number of remaining questions."""
        return self._number("SELECT COUNT(*) FROM samples")

    def pictures(self) -> int:
        """Number of images with remaining questions."""
        return self._number("SELECT COUNT(DISTINCT image) FROM samples")

    def problems(self) -> Iterator[SkippedEntry]:
        """Every entry that cannot be asked, in the order found."""
        for kind, where, detail in self._db.execute("SELECT kind, place, detail FROM problems ORDER BY rowid"):
            yield SkippedEntry(SkipReason(kind), where, detail)

    def samples(self) -> Iterator[Sample]:
        """The remaining questions, image by image."""
        for (fields,) in self._db.execute(f"SELECT fields FROM samples {_IN_ORDER}"):  # noqa: S608 - our own constant
            yield _sample(fields)

    def by_image(self) -> Iterator[tuple[Sample, ...]]:
        """The remaining questions, grouped by image."""
        for _, group in groupby(self.samples(), key=lambda sample: sample.image_key):
            yield tuple(group)

    def image_keys(self) -> list[str]:
        """The keys of all images with remaining questions, in order."""
        query = "SELECT key FROM images WHERE number IN (SELECT image FROM samples) ORDER BY number"
        return [key for (key,) in self._db.execute(query)]

    def draw(self, limit: int, seed: int) -> None:
        """Keep ``limit`` questions, drawn uniformly from the remaining ones."""
        if limit < (count := self.questions()):
            self._keep(sorted(random.Random(seed).sample(range(count), limit)))  # noqa: S311 - not for security

    def draw_images(self, share: float, seed: int) -> None:
        """Keep the questions of a share of the images, drawn uniformly; the number of images is rounded."""
        numbers = self._images()
        chosen = set(random.Random(seed).sample(numbers, round(share * len(numbers))))  # noqa: S311 - as above
        self._keep([place for place, (image, _) in enumerate(self._places()) if image in chosen])

    def draw_one_per_image(self, seed: int) -> None:
        """Keep one question per image, drawn uniformly."""
        draw, kept, start = random.Random(seed), [], 0  # noqa: S311 - as above
        for _, group in groupby(self._places(), key=lambda row: row[0]):
            count = sum(1 for _ in group)
            kept.append(start + draw.randrange(count))
            start += count
        self._keep(kept)

    def keep_shard(self, index: int, count: int) -> None:
        """Keep every ``count``-th image, from the ``index``-th on, with all its questions."""
        own = set(self._images()[index::count])
        self._keep([place for place, (image, _) in enumerate(self._places()) if image in own])

    def drop(self, ids: Iterable[str]) -> None:
        """Drop the questions with these ids, which have already been asked."""
        self._db.execute("BEGIN")
        self._db.executemany("DELETE FROM samples WHERE id = ?", ((name,) for name in ids))
        self._db.execute("COMMIT")

    def _images(self) -> list[int]:
        return [image for (image,) in self._db.execute("SELECT DISTINCT image FROM samples ORDER BY image")]

    def _places(self) -> Iterator[tuple[int, int]]:
        return iter(self._db.execute(f"SELECT image, place FROM samples {_IN_ORDER}"))  # noqa: S608 - our constant

    def _keep(self, ranks: list[int]) -> None:
        """Keep only the questions at these ranks of the order, given in ascending order."""
        wanted = iter(ranks)
        following = next(wanted, None)
        kept = []
        for rank, (_, place) in enumerate(self._places()):
            if rank == following:
                kept.append((place,))
                following = next(wanted, None)
        self._db.execute("BEGIN")
        self._db.execute("DELETE FROM kept")
        self._db.executemany("INSERT INTO kept VALUES (?)", kept)
        self._db.execute("DELETE FROM samples WHERE place NOT IN (SELECT place FROM kept)")
        self._db.execute("COMMIT")

    def _number(self, query: str) -> int:
        ((number,),) = self._db.execute(query)
        return int(number)


def _sample(fields: str) -> Sample:
    values = json.loads(fields)
    gold = tuple(values["gold"]) if isinstance(values["gold"], list) else values["gold"]
    return Sample(**{**values, "gold": gold, "answer_type": AnswerType(values["answer_type"])})
