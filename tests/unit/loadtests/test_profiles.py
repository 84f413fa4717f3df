"""Load profiles and overrides."""

from pathlib import Path
from typing import Final

import pytest
from pydantic import ValidationError

from loadtests import profile
from loadtests.errors import LoadTestError
from loadtests.profile import Profile

OPEN: Final = {
    "name": "mine",
    "loop": "open",
    "rate_per_s": 2.5,
    "duration_s": 20,
    "pictures": "unique",
    "timeout_s": 5,
    "objective_ms": 100,
}


@pytest.mark.parametrize(
    ("name", "loop", "pictures"),
    [
        ("smoke", "closed", "repeated"),
        ("capacity", "closed", "unique"),
        ("steady", "open", "unique"),
        ("overload", "open", "unique"),
    ],
)
def test_profiles_of_the_house_are_what_the_readme_says(name: str, loop: str, pictures: str) -> None:
    one = profile.load(name)
    assert (one.name, one.loop, one.pictures, one.lens) == (name, loop, pictures, False)
    assert one.warm_up_s < one.duration_s


def test_the_steady_profile_is_that_of_the_readmes_figures_and_the_overload_far_above_it() -> None:
    steady, overload = profile.load("steady"), profile.load("overload")
    assert (steady.rate_per_s, steady.duration_s, steady.objective_ms) == (8, 45, 250)
    assert (overload.rate_per_s or 0) >= 20 * (steady.rate_per_s or 0)


def test_changes_are_checked_like_the_file() -> None:
    changed = profile.load("steady", ["rate_per_s=20", "pictures=repeated", "lens=true", "name=a=b"])
    assert (changed.rate_per_s, changed.pictures, changed.lens, changed.name) == (20, "repeated", True, "a=b")
    assert changed.duration_s == profile.load("steady").duration_s


@pytest.mark.parametrize(
    ("name", "changes", "told"),
    [
        ("nope", [], "no profile 'nope' .*give one of capacity, overload, smoke, steady, or"),
        ("steady", ["rate=20"], "profile steady: rate: Extra inputs"),
        ("steady", ["rate_per_s"], "'rate_per_s' is not an override: write key=value"),
        (
            "smoke",
            ["rate_per_s=20"],
            "profile smoke: as a whole: .*is required in the open loop, and allowed only there",
        ),
        ("steady", ["duration_s=-1"], "duration_s: Input should be greater than 0"),
    ],
)
def test_an_invalid_profile_says_what_is_wrong(name: str, changes: list[str], told: str) -> None:
    with pytest.raises(LoadTestError, match=told):
        profile.load(name, changes)


def test_a_file_of_the_readers_own_is_a_profile(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('loop = "closed"\nduration_s = 1\npictures = "unique"\ntimeout_s = 1\nobjective_ms = 1\n')
    mine = profile.load(str(path))
    assert (mine.name, mine.users, mine.warm_up_s, mine.lens, mine.seed) == ("mine", 1, 0, False, 0)


def test_a_file_that_is_not_toml_is_reported(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("loop: open\n")
    with pytest.raises(LoadTestError, match=r"mine\.toml is not valid TOML: "):
        profile.load(str(tmp_path / "mine.toml"))


@pytest.mark.parametrize(
    ("field", "allowed", "refused"),
    [
        ("rate_per_s", [0.001, 10_000], [None, 0, -1, 10_000.5]),
        ("users", [1, 1000], [0, 1001, 1.5]),
        ("duration_s", [0.001, 86_400], [0, -1, 86_400.5]),
        ("warm_up_s", [0, 0.5], [-0.001]),
        ("timeout_s", [0.001, 3600], [0, -1]),
        ("objective_ms", [0.001, 60_000], [0, -1]),
        ("loop", [], ["closed", "half-open", None]),
        ("pictures", ["unique", "repeated"], ["some", None]),
    ],
)
def test_every_field_has_its_bounds(field: str, allowed: list[object], refused: list[object]) -> None:
    for value in allowed:
        assert getattr(Profile.model_validate({**OPEN, field: value}), field) == value
    for value in refused:
        with pytest.raises(ValidationError):
            Profile.model_validate({**OPEN, field: value})


def test_the_warm_up_comes_before_the_measured_time() -> None:
    assert Profile.model_validate({**OPEN, "warm_up_s": 3}).total_s == 23
