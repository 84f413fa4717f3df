"""What Locust runs: it reads the run folder that ``python -m loadtests run`` has made, and fills in the outcomes."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from locust import LoadTestShape, events
from locust.env import Environment
from locust.runners import WorkerRunner

from clients.replay.run.folder import RunFolder
from loadtests.results.run_folder import read_record
from loadtests.traffic.asking import Asker
from loadtests.traffic.questions import Questions
from loadtests.traffic.recorder import Recorder
from loadtests.traffic.samples import load
from loadtests.traffic.users import ClosedLoopUser, LoadUser, OpenLoopUser, Session

__all__ = ["ClosedLoopUser", "OpenLoopUser", "UntilAnswered"]

_SLACK_S = 10.0


@events.init_command_line_parser.add_listener
def add_options(parser: ArgumentParser) -> None:
    """Options of ours; strings, since the master hands them on to its workers."""
    parser.add_argument("--run-folder", required=True, help="folder made by `python -m loadtests run`")
    parser.add_argument("--data", required=True, help="folder of the dataset")


@events.init.add_listener
def prepare(environment: Environment, **_: Any) -> None:  # Any: Locust hands over more than is needed
    """Make ready what the users of this process share."""
    run_folder, data = _folders(environment)
    record = read_record(run_folder)
    profile = record.load.asked
    samples = load(record.task, data, profile.seed)
    LoadUser.session = Session(
        profile=profile,
        questions=Questions(samples, profile.pictures, lens=profile.lens, seed=profile.seed),
        asker=Asker(record.url, profile.timeout_s),
        recorder=Recorder(environment, RunFolder(run_folder).outcomes),
        worker=getattr(environment.runner, "worker_index", 0),
    )


def _folders(environment: Environment) -> tuple[Path, Path]:
    options: Namespace | None = environment.parsed_options
    assert options is not None  # noqa: S101 Locust has parsed its command line by then
    return Path(options.run_folder), Path(options.data)


@events.quitting.add_listener
def note_overload(environment: Environment, **_: Any) -> None:  # Any: as above
    """Tell the run folder if a process of ours was too busy to be believed."""
    runner = environment.runner
    if runner is not None and not isinstance(runner, WorkerRunner) and runner.cpu_log_warning():
        folder = _folders(environment)[0]
        record = read_record(folder)
        load = record.load.model_copy(update={"client_overloaded": True})
        RunFolder(folder).write_record(record.model_copy(update={"load": load}))


class UntilAnswered(LoadTestShape):
    """All users from the start; the end when each has ended by itself, which it does once its answers are in."""

    def tick(self) -> tuple[int, float] | None:
        """What Locust asks once a second: how many users, spawned how fast; None ends the test."""
        profile = LoadUser.session.profile
        ended = self.get_run_time() > profile.total_s and self.get_current_user_count() == 0
        overdue = self.get_run_time() > profile.total_s + profile.timeout_s + _SLACK_S
        return None if ended or overdue else (profile.users, profile.users)
