"""The datasets that can be replayed. To add one, write a module with a ``TASK`` and list it here."""

from collections.abc import Mapping
from typing import Final

from clients.replay.tasks.datasets import realcqa, tallyqa
from clients.replay.tasks.task import Task

TASKS: Final[Mapping[str, Task]] = {task.name: task for task in (realcqa.TASK, tallyqa.TASK)}
