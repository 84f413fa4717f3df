"""Select a whole split and iterate over it, as a run does, to measure the memory this takes."""

import sys
from pathlib import Path

from clients.replay.tasks import TASKS
from clients.replay.tasks.criteria import Criteria
from clients.replay.tasks.index import SampleIndex
from clients.replay.tasks.selection import select

if __name__ == "__main__":
    task, data, split = sys.argv[1:]
    criteria = Criteria.model_validate({"split": split})
    with SampleIndex(TASKS[task].scan(Path(data), criteria.split)) as index:
        select(index, criteria)
        seen = sum(len(samples) for samples in index.by_image())
        sys.exit(0 if seen == index.questions() else 1)
