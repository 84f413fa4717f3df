"""What became of each request: the replay client's outcomes, with the times of a load test."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from clients.replay.errors import ReplayError
from clients.replay.run.outcomes import Failed, LineReader, Scored
from loadtests.errors import LoadTestError

NOT_SENT: Final = "client_saturated"
"""Code of a failure that the generator alone is to blame for."""


class _Timed(BaseModel):
    """When a request was meant to be sent and when it was, in seconds since 1970; ``latency_ms`` counts from then.

    In the closed loop a request is meant to be sent when it is.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    latency_ms: float
    intended_at_s: float
    sent_at_s: float

    @property
    def lag_ms(self) -> float:
        """How late it was sent."""
        return (self.sent_at_s - self.intended_at_s) * 1000

    @property
    def waited_for_ms(self) -> float:
        """How long its sender waited, from when it was due: what a load test calls latency."""
        return self.lag_ms + self.latency_ms

    @property
    def ended_at_s(self) -> float:
        """When its answer was there, or it was given up."""
        return self.sent_at_s + self.latency_ms / 1000


class LoadScored(_Timed, Scored):
    """The service answered."""

    intended_at_s: float
    sent_at_s: float


class LoadFailed(_Timed, Failed):
    """There is no answer."""

    intended_at_s: float
    sent_at_s: float


Outcome = LoadScored | LoadFailed
_OUTCOME: Final[TypeAdapter[Outcome]] = TypeAdapter(Annotated[Outcome, Field(discriminator="outcome")])


def read_outcome(fields: Mapping[str, object]) -> Outcome:
    """The outcome of these fields; ``outcome`` tells which of the two it is."""
    return _OUTCOME.validate_python(fields)


def read(path: Path) -> tuple[Outcome, ...]:
    """Every outcome of a load test; a last line that a kill cut short is left out.

    Raises:
        LoadTestError: there is no file, or it is not a load test's.
    """
    try:
        return tuple(outcome for _, outcome in LineReader(path, _OUTCOME))
    except ReplayError as error:
        message = f"{error} Give the folder of a load test."
        raise LoadTestError(message) from error
