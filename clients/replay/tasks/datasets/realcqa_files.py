"""The files of RealCQA's folder, by chart, and the charts of each split.

If a chart is in two folders, as when the hub's copy is unpacked over the authors', the last folder's file is used, and
the other is named among the problems.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import Final

from clients.replay.errors import ReplayError
from clients.replay.tasks.entries import EntryError
from clients.replay.tasks.files import Chosen, file_of, files_in, folders_of, read_lines
from clients.replay.tasks.sample import SkippedEntry, Split

TEST_LIST: Final = "test_filenames.txt"
MERGED: Final = "merged_qa.json"
_IMAGE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
_JSON_SUFFIXES: Final = frozenset({".json"})


@dataclass(frozen=True, slots=True)
class Charts:
    """Paths of each chart's files, by stem: 28 thousand names, never their contents. ``listed`` are the test charts."""

    data: Path
    merged: Path
    questions: Chosen
    images: Chosen
    annotations: Chosen
    listed: Mapping[str, None]

    @classmethod
    def of(cls, data: Path, split: Split) -> "Charts":
        """The charts of a data folder.

        Raises:
            ReplayError: a folder cannot be read, or the split needs the list of test charts and there is none.
        """
        return cls(
            data,
            merged=file_of(data, MERGED),
            questions=_by_stem(data, "qa", _JSON_SUFFIXES),
            images=_by_stem(data, "images", _IMAGE_SUFFIXES),
            annotations=_by_stem(data, "json", _JSON_SUFFIXES),
            listed=_test_stems(data, split),
        )

    def holds(self, split: Split, stem: str) -> bool:
        """Whether a chart belongs to a split."""
        return split == "all" or (stem in self.listed) is (split == "test")

    def passed_over(self, split: Split) -> Iterator[SkippedEntry]:
        """The files of the split's charts that others of the same name replace."""
        for files in (self.images, self.questions, self.annotations):
            yield from files.problems(self.data, partial(self.holds, split))


def _by_stem(data: Path, prefix: str, suffixes: frozenset[str]) -> Chosen:
    found = (path for folder in folders_of(data, prefix) for path in files_in(folder))
    files = (path for path in found if path.suffix.lower() in suffixes)
    return Chosen.of(files, lambda path: path.stem)


def _test_stems(data: Path, split: Split) -> Mapping[str, None]:
    path = file_of(data, TEST_LIST)
    try:
        stems = dict.fromkeys(map(_stem, filter(str.strip, read_lines(path))))
    except EntryError as error:
        if split == "all":
            return {}
        message = f"{path}, which lists the test charts, {error.detail}. Is {data} RealCQA's folder?"
        raise ReplayError(message) from error
    if split == "test" and not stems:
        message = f"{path}, which lists the test charts, is empty."
        raise ReplayError(message)
    return stems


def _stem(line: str) -> str:
    name = PureWindowsPath(line.strip())  # whose parts are cut at either slash
    return name.stem if name.suffix.lower() in _IMAGE_SUFFIXES | _JSON_SUFFIXES else name.name
