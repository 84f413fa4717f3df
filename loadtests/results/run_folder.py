"""A load test's folder: the replay client's, with the load in its ``run.json``."""

from pathlib import Path
from typing import Final

from pydantic import ValidationError

from clients.replay.run.folder import RunFolder
from clients.replay.run.record import Load, RunRecord
from loadtests.errors import LoadTestError
from loadtests.profile import Profile

SUMMARY: Final = "summary.json"


class LoadSettings(Load):
    """The load of a load test: the fields that the replay client reports, and the whole profile.

    ``client_overloaded`` is set if Locust saw one of its processes above 90 % of a core.
    """

    service: str
    asked: Profile
    client_overloaded: bool = False

    @classmethod
    def of(cls, service: str, profile: Profile) -> "LoadSettings":
        """The settings for a service and a profile."""
        return cls(
            profile=profile.name,
            offered_rate_per_s=profile.rate_per_s,
            deadline_ms=profile.objective_ms,
            users=profile.users,
            service=service,
            asked=profile,
        )


class LoadRecord(RunRecord):
    """Contents of ``run.json``. ``concurrency`` is the largest number of requests in flight during the run."""

    load: LoadSettings


def read_record(folder: Path) -> LoadRecord:
    """The record of a load test.

    Raises:
        LoadTestError: the folder has none.
    """
    path = RunFolder(folder).record
    try:
        return LoadRecord.model_validate_json(path.read_bytes())
    except OSError as error:
        message = f"{folder} is not a run folder ({error.strerror}: {path.name}): give folders made by load tests"
        raise LoadTestError(message) from error
    except ValidationError as error:
        message = f"{path} is not the record of a load test: {error.errors()[0]['msg']}"
        raise LoadTestError(message) from error
