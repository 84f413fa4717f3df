"""What a load test asks for: profiles, arrivals, requests."""

import base64
import io
import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import kstest

from loadtests import profile
from loadtests.arrivals import poisson
from loadtests.errors import LoadTestError
from loadtests.questions import REPEATED_PICTURES, Questions
from loadtests.samples import BUNDLED, Samples, load


@pytest.mark.parametrize("name", ["smoke", "steady", "overload", "capacity"])
def test_profiles_of_the_house_are_valid(name: str) -> None:
    assert profile.load(name).name == name


def test_changes_are_checked_like_the_file() -> None:
    changed = profile.load("steady", ["rate_per_s=20", "pictures=repeated", "lens=true"])
    assert (changed.rate_per_s, changed.pictures, changed.lens) == (20, "repeated", True)


@pytest.mark.parametrize(
    ("name", "changes", "told"),
    [
        ("nope", [], "give one of capacity, overload, smoke, steady"),
        ("steady", ["rate=20"], "rate: Extra inputs"),
        ("steady", ["rate_per_s"], "write key=value"),
        ("smoke", ["rate_per_s=20"], "belongs to the open loop"),
        ("steady", ["duration_s=-1"], "duration_s: Input should be greater than 0"),
    ],
)
def test_a_wrong_profile_says_what_is_wrong(name: str, changes: list[str], told: str) -> None:
    with pytest.raises(LoadTestError, match=told):
        profile.load(name, changes)


def test_a_file_of_the_readers_own_is_a_profile(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('loop = "closed"\nduration_s = 1\npictures = "unique"\ntimeout_s = 1\nobjective_ms = 1\n')
    assert profile.load(str(path)).name == "mine"


def test_arrivals_are_a_poisson_process() -> None:
    """Gaps are exponential of the asked mean, and do not depend on the gap before."""
    times = np.array(list(poisson(50, 200, "a")))
    gaps = np.diff(times)
    assert kstest(gaps, "expon", args=(0, 1 / 50)).pvalue > 0.01
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 4 / len(gaps) ** 0.5
    assert abs(len(times) - 10_000) < 4 * 10_000**0.5


def test_arrivals_are_the_same_for_the_same_seed_only() -> None:
    assert list(poisson(5, 10, "a")) == list(poisson(5, 10, "a"))
    assert list(poisson(5, 10, "a")) != list(poisson(5, 10, "b"))


@pytest.fixture(scope="module")
def samples() -> Samples:
    return load("tallyqa", BUNDLED / "tallyqa", seed=0)


def test_unique_pictures_never_come_twice_and_show_what_they_showed(samples: Samples) -> None:
    asks = list(islice(Questions(samples, "unique", lens=False, seed=1).stream("0.0"), 60))
    assert len({ask.image_sha256 for ask in asks}) == len(asks)
    for ask in asks[:5]:
        sent = base64.b64decode(json.loads(ask.body)["image"])
        with Image.open(io.BytesIO(sent)) as seen, Image.open(BUNDLED / "tallyqa" / ask.sample.image_key) as kept:
            assert seen.tobytes() == kept.tobytes()


def test_repeated_pictures_are_a_handful_of_files_as_they_lie_on_disk(samples: Samples) -> None:
    asks = list(islice(Questions(samples, "repeated", lens=False, seed=1).stream("0.0"), 100))
    assert len({ask.image_sha256 for ask in asks}) == REPEATED_PICTURES
    assert (
        base64.b64decode(json.loads(asks[0].body)["image"])
        == (BUNDLED / "tallyqa" / asks[0].sample.image_key).read_bytes()
    )


def test_sources_ask_different_questions_and_the_same_ones_again(samples: Samples) -> None:
    questions = Questions(samples, "unique", lens=False, seed=1)
    first, again, other = (list(islice(questions.stream(source), 20)) for source in ("0.0", "0.0", "0.1"))
    assert [ask.body for ask in first] == [ask.body for ask in again]
    assert [ask.sample.id for ask in first] != [ask.sample.id for ask in other]
    assert not {ask.id for ask in first} & {ask.id for ask in other}


def test_the_lens_is_asked_for_only_if_wanted(samples: Samples) -> None:
    bodies = [
        json.loads(next(Questions(samples, "unique", lens=lens, seed=1).stream("0.0")).body) for lens in (True, False)
    ]
    assert ["lens" in body for body in bodies] == [True, False]
