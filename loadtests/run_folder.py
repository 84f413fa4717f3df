"""A load test's folder: the replay client's, whose ``run.json`` tells the profile too."""

from pathlib import Path
from typing import Final

from pydantic import Field, ValidationError

from clients.replay.record import RunFolder, RunRecord
from loadtests.errors import LoadTestError
from loadtests.profile import Profile

SUMMARY: Final = "summary.json"


class LoadRecord(RunRecord):
    """Contents of ``run.json``. ``concurrency`` is what the run reached: the most requests that waited together."""

    service: str
    profile: Profile
    client_overloaded: bool = Field(default=False, description="Locust saw one of its processes above 90 % of a core.")


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
