"""The outcome of each request: the replay client's outcomes, with the times of a load test."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from clients.replay.errors import ReplayError
from clients.replay.run.outcomes import Failed, LineReader, Scored
from loadtests.errors import LoadTestError

NOT_SENT: Final = "client_saturated"
"""Code of failures caused by the generator alone."""


class _Timed(BaseModel):
    """When a request was due and when it was sent, in seconds since 1970; ``latency_ms`` counts from the sending.

    In the closed loop, both times are equal.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    latency_ms: float
    intended_at_s: float
    sent_at_s: float

    @property
    def lag_ms(self) -> float:
        """How late the request was sent."""
        return (self.sent_at_s - self.intended_at_s) * 1000

    @property
    def waited_for_ms(self) -> float:
        """Time from when the request was due to its end: the latency of a load test."""
        return self.lag_ms + self.latency_ms

    @property
    def ended_at_s(self) -> float:
        """When the answer arrived, or the request was given up."""
        return self.sent_at_s + self.latency_ms / 1000


class LoadScored(_Timed, Scored):
    """The service answered."""

    intended_at_s: float
    sent_at_s: float


class LoadFailed(_Timed, Failed):
    """The service did not answer."""

    intended_at_s: float
    sent_at_s: float


Outcome = LoadScored | LoadFailed
_OUTCOME: Final[TypeAdapter[Outcome]] = TypeAdapter(Annotated[Outcome, Field(discriminator="outcome")])


def read_outcome(fields: Mapping[str, object]) -> Outcome:
    """Validate an outcome; its field ``outcome`` selects the type."""
    return _OUTCOME.validate_python(fields)


def read(path: Path) -> tuple[Outcome, ...]:
    """Every outcome of a load test, ignoring a last line that was cut short by a kill.

    Raises:
        LoadTestError: the file is missing, or is not from a load test.
    """
    try:
        return tuple(outcome for _, outcome in LineReader(path, _OUTCOME))
    except ReplayError as error:
        message = f"{error} Give the folder of a load test."
        raise LoadTestError(message) from error
