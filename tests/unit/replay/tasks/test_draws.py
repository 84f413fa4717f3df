"""Draws and shards: seeds, probabilities, and that the shards add up to the whole."""

from collections import Counter
from collections.abc import Callable
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.replay.tasks.index import SampleIndex
from clients.replay.tasks.sample import Sample
from clients.replay.tasks.selection import Shard
from tests.unit.replay.reading import ids, question

Draw = Callable[[SampleIndex, int], None]

DRAWS: dict[str, Draw] = {
    "questions": lambda index, seed: index.draw(20, seed),
    "pictures": lambda index, seed: index.draw_images(0.4, seed),
    "one-per-picture": lambda index, seed: index.draw_one_per_image(seed),
}
# number of questions of each image, at most four
SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=12)
SEEDS = st.integers(0, 2**32)


def pictures(sizes: list[int]) -> list[Sample]:
    """The given number of questions per image, interleaved: the first of every image, then the second of every one."""
    pairs = [(place, image) for image, size in enumerate(sizes) for place in range(size)]
    return [question(f"{image}-{place}", f"{image}.png") for place, image in sorted(pairs)]


FORTY = pictures([1 + image % 4 for image in range(40)])


def drawn(samples: list[Sample], draw: Draw, seed: int) -> list[str]:
    with SampleIndex(samples) as index:
        draw(index, seed)
        return ids(index)


@pytest.mark.parametrize("draw", DRAWS.values(), ids=list(DRAWS))
def test_one_seed_is_one_choice_and_other_seeds_are_others(draw: Draw) -> None:
    choices = [tuple(drawn(FORTY, draw, seed)) for seed in (0, 1, 2, 0, 1, 2)]
    assert choices[:3] == choices[3:]
    assert len(set(choices)) == 3


@settings(max_examples=25, deadline=None, derandomize=True)
@given(SIZES, SEEDS, st.integers(1, 50))
def test_a_limit_is_reached_or_everything_is_asked_in_the_order_of_the_split(
    sizes: list[int], seed: int, limit: int
) -> None:
    samples = pictures(sizes)
    with SampleIndex(samples) as index:
        whole = ids(index)
        index.draw(limit, seed)
        left = ids(index)
        assert index.questions() == len(left) == min(limit, sum(sizes))
    assert left == [name for name in whole if name in left]
    assert left == drawn(samples, lambda index, seed: index.draw(limit, seed), seed)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(SIZES, SEEDS, st.integers(0, 20))
def test_a_share_of_the_images_keeps_all_their_questions(sizes: list[int], seed: int, twentieths: int) -> None:
    with SampleIndex(pictures(sizes)) as index:
        index.draw_images(twentieths / 20, seed)
        left = Counter(sample.image_key for sample in index.samples())
        assert index.pictures() == len(left)
    assert abs(len(left) - len(sizes) * twentieths / 20) <= 1 / 2
    assert all(count == sizes[int(key.removesuffix(".png"))] for key, count in left.items())


@settings(max_examples=25, deadline=None, derandomize=True)
@given(SIZES, SEEDS)
def test_one_question_of_each_image(sizes: list[int], seed: int) -> None:
    with SampleIndex(pictures(sizes)) as index:
        index.draw_one_per_image(seed)
        assert [sample.image_key for sample in index.samples()] == [f"{image}.png" for image in range(len(sizes))]


def test_each_question_of_an_image_has_the_same_chance_whatever_surrounds_it() -> None:
    samples = pictures([1, 3, 4, 2])
    counts = Counter(chain.from_iterable(drawn(samples, DRAWS["one-per-picture"], seed) for seed in range(120)))
    assert counts.keys() == {sample.id for sample in samples}
    expected = {"0": 120, "1": 40, "2": 30, "3": 60}
    assert all(abs(count - expected[name[0]]) < 20 for name, count in counts.items()), counts


def test_each_image_has_the_same_chance_however_many_questions_it_has() -> None:
    samples, counts = pictures([1, 4, 1, 3, 2]), Counter[str]()
    for seed in range(120):
        counts.update({name[0] for name in drawn(samples, DRAWS["pictures"], seed)})
    assert len(counts) == 5
    assert all(abs(count - 48) < 20 for count in counts.values()), counts


@settings(max_examples=25, deadline=None, derandomize=True)
@given(SIZES, SEEDS, st.integers(1, 5), st.integers(1, 30))
def test_every_question_is_in_one_shard_and_an_image_s_questions_are_in_the_same(
    sizes: list[int], seed: int, count: int, limit: int
) -> None:
    samples, shards = pictures(sizes), []
    with SampleIndex(samples) as whole:
        whole.draw(limit, seed)
        questions, keys = ids(whole), whole.image_keys()
    for number in range(count):
        with SampleIndex(samples) as index:
            index.draw(limit, seed)
            index.keep_shard(number, count)
            assert index.image_keys() == keys[number::count]
            shards.append(ids(index))
    assert sorted(chain.from_iterable(shards)) == sorted(questions)


@pytest.mark.parametrize(("text", "shard"), [("0/1", Shard(0, 1)), ("2/5", Shard(2, 5)), ("4/5", Shard(4, 5))])
def test_a_shard_reads_as_its_number_of_so_many(text: str, shard: Shard) -> None:
    assert Shard.parse(text) == shard


@pytest.mark.parametrize("text", ["3/3", "4/3", "-1/3", "0/0", "1", "1/", "/3", "a/b", "1/2/3"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"shard|invalid"):
        Shard.parse(text)
