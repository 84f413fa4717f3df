"""A load test's folder: the replay client's, whose ``run.json`` tells the load too."""

from pathlib import Path
from typing import Final

from pydantic import ValidationError

from clients.replay.run.folder import RunFolder
from clients.replay.run.record import Load, RunRecord
from loadtests.errors import LoadTestError
from loadtests.profile import Profile

SUMMARY: Final = "summary.json"


class LoadSettings(Load):
    """How a load test offered its requests: what the replay client's reports tell of it, and the whole profile.

    ``client_overloaded`` says that Locust saw one of its processes above 90 % of a core.
    """

    service: str
    asked: Profile
    client_overloaded: bool = False

    @classmethod
    def of(cls, service: str, profile: Profile) -> "LoadSettings":
        """The load that a profile asks of a service."""
        return cls(
            profile=profile.name,
            offered_rate_per_s=profile.rate_per_s,
            deadline_ms=profile.objective_ms,
            users=profile.users,
            service=service,
            asked=profile,
        )


class LoadRecord(RunRecord):
    """Contents of ``run.json``. ``concurrency`` is what the run reached: the most requests that waited together."""

    load: LoadSettings


def read_record(folder: Path) -> LoadRecord:
    """The record of a load test.

    Raises:
        LoadTestError: the folder holds none.
    """
    path = RunFolder(folder).record
    try:
        return LoadRecord.model_validate_json(path.read_bytes())
    except OSError as error:
        message = f"{folder} holds no run ({error.strerror}: {path.name}): give folders that a load test made"
        raise LoadTestError(message) from error
    except ValidationError as error:
        message = f"{path} is no record of a load test: {error.errors()[0]['msg']}"
        raise LoadTestError(message) from error
