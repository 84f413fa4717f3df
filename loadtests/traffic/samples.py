"""The dataset of a load test: its questions, its images, and the selection for the run folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clients.replay.asking.images import keep_images
from clients.replay.tasks import TASKS
from clients.replay.tasks.criteria import Criteria, Selection
from clients.replay.tasks.index import SampleIndex
from clients.replay.tasks.sample import Sample
from clients.replay.tasks.selection import select
from clients.replay.tasks.task import ImageSource

BUNDLED: Final = Path(__file__).parents[2] / "clients" / "samples"
_SPLIT: Final = "test"


@dataclass(frozen=True, slots=True)
class Samples:
    """The questions of a dataset's test split; ``read`` returns an image's bytes by its key."""

    questions: tuple[Sample, ...]
    read: ImageSource
    selection: Selection

    def keep_images(self, folder: Path, seed: int) -> None:
        """Save copies of some images in a run folder, for its report."""
        keep_images(tuple(dict.fromkeys(sample.image_key for sample in self.questions)), self.read, folder, seed)


def load(task: str, data: Path, seed: int) -> Samples:
    """Load the samples of a task from a folder.

    Raises:
        ReplayError: the folder does not contain the dataset, or none of its questions can be asked.
    """
    with SampleIndex(TASKS[task].scan(data, _SPLIT)) as index:
        selection = select(index, Criteria(split=_SPLIT, seed=seed))
        return Samples(tuple(index.samples()), TASKS[task].pictures(data), selection)
