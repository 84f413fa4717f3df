"""Load profiles: small TOML files in ``profiles/``, selected by name, or your own."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from loadtests.errors import LoadTestError

PROFILES: Final = Path(__file__).parent / "profiles"


class Profile(BaseModel):
    """A load profile. In the open loop, requests are due at the times of a Poisson process, whatever has been answered;
    in the closed loop, each of ``users`` sends its next request as soon as it has an answer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    loop: Literal["open", "closed"]
    rate_per_s: float | None = Field(default=None, gt=0, le=10_000, description="Open loop: mean arrivals per second.")
    users: int = Field(
        default=1, ge=1, le=1000, description="Closed loop: users. Open loop: sources that share the rate."
    )
    duration_s: float = Field(gt=0, le=86_400, description="Measured time.")
    warm_up_s: float = Field(default=0, ge=0, description="Unmeasured time before it, under the same load.")
    pictures: Literal["unique", "repeated"] = Field(
        description="Never the same bytes twice, or a few images repeatedly."
    )
    lens: bool = Field(default=False, description="Request the lens trace (Qwen2-VL).")
    timeout_s: float = Field(gt=0, description="Timeout per request.")
    objective_ms: float = Field(gt=0, description="An answer counts as good within this latency.")
    seed: int = 0

    @model_validator(mode="after")
    def _rate_fits_loop(self) -> Self:
        if (self.loop == "open") != (self.rate_per_s is not None):
            message = "rate_per_s is required in the open loop, and allowed only there"
            raise ValueError(message)
        return self

    @property
    def total_s(self) -> float:
        """How long requests are sent, including the warm-up."""
        return self.warm_up_s + self.duration_s


def load(name: str, changes: Sequence[str] = ()) -> Profile:
    """Load a profile by name or by path, with ``key=value`` overrides.

    Raises:
        LoadTestError: the profile does not exist or is invalid.
    """
    path = Path(name) if name.endswith(".toml") else PROFILES / f"{name}.toml"
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))  # Any: TOML values
    except OSError as error:
        known = ", ".join(sorted(file.stem for file in PROFILES.glob("*.toml")))
        message = f"no profile {name!r} ({error.strerror}): give one of {known}, or the path of a .toml file"
        raise LoadTestError(message) from error
    except tomllib.TOMLDecodeError as error:
        message = f"{path} is not valid TOML: {error}"
        raise LoadTestError(message) from error
    try:
        return Profile.model_validate({"name": path.stem, **values, **dict(map(_change, changes))})
    except ValidationError as error:
        first = error.errors()[0]
        message = f"profile {path.stem}: {'.'.join(map(str, first['loc'])) or 'as a whole'}: {first['msg']}"
        raise LoadTestError(message) from error


def _change(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        message = f"{text!r} is not an override: write key=value, for example rate_per_s=20"
        raise LoadTestError(message)
    return key, value
