"""Requests: samples, images, bodies, digests and ids."""

import base64
import hashlib
import io
import json
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from PIL import Image

from loadtests import profile
from loadtests.run import TASK_OF, Plan
from loadtests.traffic.questions import REPEATED_IMAGES, Ask, Questions
from loadtests.traffic.samples import BUNDLED, Samples, load

DATA = BUNDLED / "tallyqa"


@pytest.fixture(scope="module")
def samples() -> Samples:
    return load("tallyqa", DATA, seed=0)


def _asks(samples: Samples, pictures: str, count: int, *, seed: int = 1, source: str = "0.0") -> list[Ask]:
    asked = Questions(samples, "unique" if pictures == "unique" else "repeated", lens=False, seed=seed)
    return list(islice(asked.stream(source), count))


def _sent(ask: Ask) -> bytes:
    return base64.b64decode(json.loads(ask.body)["image"])


def test_unique_images_never_come_twice_and_show_what_they_showed(samples: Samples) -> None:
    asks = _asks(samples, "unique", 60)
    assert len({_sent(ask) for ask in asks}) == len(asks)
    assert len({ask.sample.image_key for ask in asks}) > REPEATED_IMAGES, "of many files, too"
    for ask in asks[:5]:
        with Image.open(io.BytesIO(_sent(ask))) as seen, Image.open(DATA / ask.sample.image_key) as kept:
            assert seen.tobytes() == kept.tobytes()


def test_repeated_images_are_a_handful_of_files_as_they_lie_on_disk(samples: Samples) -> None:
    asks = _asks(samples, "repeated", 100)
    assert len({ask.sample.image_key for ask in asks}) == REPEATED_IMAGES
    assert all(_sent(ask) == (DATA / ask.sample.image_key).read_bytes() for ask in asks)


@pytest.mark.parametrize("pictures", ["unique", "repeated"])
def test_a_request_asks_its_samples_question_under_the_digest_of_what_it_sends(samples: Samples, pictures: str) -> None:
    for ask in _asks(samples, pictures, 12):
        body = json.loads(ask.body)
        assert set(body) == {"image", "question"}
        assert body["question"] == ask.sample.question
        assert ask.image_sha256 == hashlib.sha256(_sent(ask)).hexdigest()


def test_ids_are_the_source_the_number_and_the_sample(samples: Samples) -> None:
    asks = _asks(samples, "unique", 3, source="1.7")
    assert [ask.id for ask in asks] == [f"1.7-{number:06d}/{asks[number].sample.id}" for number in range(3)]


def test_samples_are_drawn_with_replacement_from_all_of_them(samples: Samples) -> None:
    few = replace(samples, questions=samples.questions[:5])
    drawn = Counter(ask.sample.id for ask in _asks(few, "unique", 200))
    assert set(drawn) == {sample.id for sample in few.questions}
    assert 15 < min(drawn.values()) <= max(drawn.values()) < 70


def test_sources_ask_different_questions_and_the_same_ones_again(samples: Samples) -> None:
    first, again, other = (_asks(samples, "unique", 20, source=source) for source in ("0.0", "0.0", "0.1"))
    assert [ask.body for ask in first] == [ask.body for ask in again]
    assert [ask.sample.id for ask in first] != [ask.sample.id for ask in other]
    assert not {ask.id for ask in first} & {ask.id for ask in other}
    assert not {ask.image_sha256 for ask in first} & {ask.image_sha256 for ask in other}


def test_another_seed_asks_others_about_other_images(samples: Samples) -> None:
    assert [ask.sample.id for ask in _asks(samples, "unique", 20)] != [
        ask.sample.id for ask in _asks(samples, "unique", 20, seed=2)
    ]
    handfuls = [{ask.sample.image_key for ask in _asks(samples, "repeated", 60, seed=seed)} for seed in (1, 2)]
    assert handfuls[0] != handfuls[1]


def test_all_sources_share_the_same_handful(samples: Samples) -> None:
    first, other = (
        {ask.sample.image_key for ask in _asks(samples, "repeated", 60, source=source)} for source in ("0.0", "1.3")
    )
    assert first == other


def test_of_fewer_images_than_a_handful_all_are_repeated(samples: Samples) -> None:
    first = samples.questions[0].image_key
    one = replace(samples, questions=tuple(sample for sample in samples.questions if sample.image_key == first))
    assert len(one.questions) > 1
    assert {ask.sample.id for ask in _asks(one, "repeated", 40)} == {sample.id for sample in one.questions}


def test_the_lens_is_asked_for_only_if_wanted(samples: Samples) -> None:
    bodies = [
        json.loads(next(Questions(samples, "unique", lens=lens, seed=1).stream("0.0")).body) for lens in (True, False)
    ]
    assert ["lens" in body for body in bodies] == [True, False]
    assert (bodies[0]["lens"]["top_k"], bodies[0]["lens"]["layers"]) == (5, None)  # every layer


@pytest.mark.parametrize(("service", "name"), [("matcha", "realcqa"), ("qwen_vl", "tallyqa")])
def test_a_service_is_asked_about_its_own_kind_of_data(service: str, name: str, tmp_path: Path) -> None:
    plan = Plan(service, profile.load("smoke"), tmp_path)
    assert plan.data_folder == BUNDLED / name
    assert replace(plan, data=tmp_path).data_folder == tmp_path
    assert load(TASK_OF[service], plan.data_folder, seed=0).questions


def test_the_questions_are_the_test_splits(samples: Samples) -> None:
    rows = json.loads((DATA / "test.json").read_text(encoding="utf-8"))
    assert sorted(sample.id for sample in samples.questions) == sorted(str(row["question_id"]) for row in rows)
    assert (samples.selection.questions, samples.selection.split) == (len(rows), "test")
