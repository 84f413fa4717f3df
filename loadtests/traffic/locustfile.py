"""The locustfile: reads the run folder created by ``python -m loadtests run``, and writes its outcomes."""

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
    """Add our options; strings, because the master passes them on to its workers."""
    parser.add_argument("--run-folder", required=True, help="folder created by `python -m loadtests run`")
    parser.add_argument("--data", required=True, help="folder of the dataset")


@events.init.add_listener
def prepare(environment: Environment, **_: Any) -> None:  # Any: Locust passes more than is needed
    """Create the session shared by the users of this process."""
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
    """Record in the run folder if a Locust process was too busy for reliable results."""
    runner = environment.runner
    if runner is not None and not isinstance(runner, WorkerRunner) and runner.cpu_log_warning():
        folder = _folders(environment)[0]
        record = read_record(folder)
        load = record.load.model_copy(update={"client_overloaded": True})
        RunFolder(folder).write_record(record.model_copy(update={"load": load}))


class UntilAnswered(LoadTestShape):
    """Start all users at once; end when all have stopped, which they do once their answers are in."""

    def tick(self) -> tuple[int, float] | None:
        """Called by Locust every second: user count and spawn rate, or None to end the test."""
        profile = LoadUser.session.profile
        ended = self.get_run_time() > profile.total_s and self.get_current_user_count() == 0
        overdue = self.get_run_time() > profile.total_s + profile.timeout_s + _SLACK_S
        return None if ended or overdue else (profile.users, profile.users)
