"""The prefix cache: what it keeps, and that answers with and without it are equal."""

import ctypes
import mmap
import platform
from collections.abc import Callable
from typing import Any

import psutil
import pytest
import torch

from services.qwen_vl.engine import VisionQA
from services.qwen_vl.model.prefix_cache import PrefixCache, give_back
from services.qwen_vl.types import Answer, LensOptions, Question, Turn
from tests.unit.qwen_vl.conftest import asked, scene


@pytest.fixture
def cached(make_engine: Callable[..., VisionQA]) -> VisionQA:
    return make_engine()


def encodes(engine: VisionQA, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """A list that grows with every image that passes through the vision tower."""
    seen: list[object] = []
    encode = engine.network.encode

    def counted(*arguments: Any) -> torch.Tensor:
        seen.append(arguments[1])
        return encode(*arguments)

    monkeypatch.setattr(engine.network, "encode", counted)
    return seen


def assert_alike(one: Answer, other: Answer) -> None:
    """Equal up to float32 rounding: splitting the prompt changes the shapes of the matrix products."""
    assert one.token_ids == other.token_ids
    assert one.lens is not None
    assert other.lens is not None
    for ours, theirs in zip(one.lens.steps, other.lens.steps, strict=True):
        for a, b in zip(ours.layers, theirs.layers, strict=True):
            assert a.probs == pytest.approx(b.probs, abs=1e-5)
            assert a.entropy == pytest.approx(b.entropy, abs=1e-4)
            assert a.token_ids[0] == b.token_ids[0]


def test_a_second_question_is_a_hit_and_answers_alike(cached: VisionQA, engine: VisionQA) -> None:
    lens = LensOptions(every_token=True)
    texts = ["How many circles are there?", "图中有几个图形？", "How many red circles are there?"]
    answers = [cached.answer(asked(scene(3), text, lens=lens)) for text in [*texts, *texts]]
    assert [answer.cache for answer in answers] == ["miss"] + ["hit"] * 5
    assert [answer.cached_tokens > 16 for answer in answers] == [False] + [True] * 5
    for answer, text in zip(answers, [*texts, *texts], strict=True):
        without = engine.answer(asked(scene(3), text, lens=lens))
        assert without.cache is None
        assert_alike(answer, without)


def test_a_hit_is_not_worn_by_long_answers(cached: VisionQA) -> None:
    first = cached.answer(asked(scene(2), lens=LensOptions()))
    for _ in range(2):
        cached.answer(asked(scene(2), "Describe it.", max_new_tokens=40))
    assert_alike(cached.answer(asked(scene(2), lens=LensOptions())), first)


def test_other_images_sizes_and_prompts_are_misses(cached: VisionQA, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = encodes(cached, monkeypatch)
    system = Turn("system", ("Answer with a digit.",))
    cached.answer(asked(scene(2)))
    assert cached.answer(asked(scene(2, shade=254))).cache == "miss"
    assert cached.answer(asked(scene(2), max_pixels=6300)).cache == "miss"
    assert len(seen) == 3
    other_prompt = cached.answer(Question((system, *asked(scene(2)).turns), max_new_tokens=2))
    assert (other_prompt.cache, other_prompt.cached_tokens) == ("miss", 0)
    assert len(seen) == 3, "its features are known all the same"


def test_a_conversation_goes_on_from_its_last_known_image(
    cached: VisionQA, engine: VisionQA, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = (Turn("user", (scene(2), "How many?")), Turn("assistant", ("2",)))
    cached.answer(asked(scene(2), "How many?"))
    seen = encodes(cached, monkeypatch)
    longer = Question((*turns, Turn("user", (scene(4), "And here?"))), max_new_tokens=4, lens=LensOptions())
    first = cached.answer(longer)
    assert (first.cache, len(seen)) == ("miss", 1)
    assert 16 < first.cached_tokens < first.prompt_tokens - 16
    second = cached.answer(longer)
    assert (second.cache, len(seen)) == ("hit", 1)
    assert_alike(first, engine.answer(longer))
    assert_alike(second, first)


def test_reading_image_tokens_needs_no_second_encoding(cached: VisionQA, monkeypatch: pytest.MonkeyPatch) -> None:
    cached.answer(asked(scene(2)))
    seen = encodes(cached, monkeypatch)
    answer = cached.answer(asked(scene(2), lens=LensOptions(layers=(8,), image_tokens=True)))
    assert answer.lens is not None
    assert answer.lens.grids is not None
    assert (answer.cached_tokens, seen) == (0, [])


def test_a_new_image_may_drive_out_a_known_one_of_the_same_prompt(
    make_engine: Callable[..., VisionQA], engine: VisionQA
) -> None:
    small = make_engine(cache_bytes=10_000)  # the features of one image, without keys and values
    small.answer(asked(scene(1)))
    assert len(small.cache) == 1
    question = Question((Turn("user", (scene(2), scene(1), "How many?")),), 2, lens=LensOptions())
    assert_alike(small.answer(question), engine.answer(question))


def test_an_image_that_is_in_a_prompt_twice_is_encoded_once(engine: VisionQA, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = encodes(engine, monkeypatch)
    engine.answer(Question((Turn("user", (scene(1), scene(2), scene(1), "How many?")),), max_new_tokens=1))
    assert len(seen) == 2


@pytest.mark.slow
def test_images_of_one_kind_of_question_stay_within_the_bound(make_engine: Callable[..., VisionQA]) -> None:
    bound = 2_000_000
    engine = make_engine(cache_bytes=bound)
    for shade in range(200, 230):
        assert engine.answer(asked(scene(1, shade=shade), max_new_tokens=1)).cache == "miss"
        assert engine.cache.nbytes <= bound
    assert engine.answer(asked(scene(1, shade=229), max_new_tokens=1)).cache == "hit"
    assert engine.answer(asked(scene(1, shade=200), max_new_tokens=1)).cache == "miss"


def test_the_least_recently_used_goes_first() -> None:
    cache = PrefixCache(3 * 400)
    for name in "abc":
        cache.put(name, torch.zeros(100))
    cache.get("a")
    cache.put("d", torch.zeros(100))
    assert [cache.get(name) is not None for name in "abcd"] == [True, False, True, True]
    assert cache.nbytes == 1200


def test_bytes_are_counted_not_numbers() -> None:
    cache = PrefixCache(1000)
    cache.put("doubles", torch.zeros(5, 10, dtype=torch.float64))
    cache.put("halves", torch.zeros(30, dtype=torch.bfloat16))
    assert (len(cache), cache.nbytes) == (2, 400 + 60)
    cache.put("doubles", torch.zeros(3, dtype=torch.float64))
    assert (len(cache), cache.nbytes) == (2, 24 + 60), "the new one stands in the old one's place"


def test_the_oldest_go_until_the_new_one_fits() -> None:
    cache = PrefixCache(1000)
    for name, count in [("a", 50), ("b", 100), ("c", 60)]:  # 200, 400 and 240 bytes
        cache.put(name, torch.zeros(count))
    cache.put("d", torch.zeros(190))
    assert [cache.get(name) is not None for name in "abcd"] == [False, False, True, True]
    cache.put("e", torch.zeros(250))
    assert ([cache.get(name) is not None for name in "cde"], cache.nbytes) == ([False, False, True], 1000)


def test_what_was_put_again_is_the_last_to_go() -> None:
    cache = PrefixCache(1200)
    for name in "abca":
        cache.put(name, torch.zeros(100))
    cache.put("d", torch.zeros(100))
    assert [cache.get(name) is not None for name in "abcd"] == [True, False, True, True]


@pytest.mark.parametrize(("size", "held"), [(99, (True, True)), (100, (True, False)), (101, (False, True))])
def test_an_entry_larger_than_the_bound_is_not_kept_and_drives_nothing_out(size: int, held: tuple[bool, bool]) -> None:
    cache = PrefixCache(100)
    cache.put("other", torch.zeros(1, dtype=torch.uint8))
    cache.put("a", torch.zeros(size, dtype=torch.uint8))
    assert (cache.get("a") is not None, cache.get("other") is not None) == held


def test_an_empty_tensor_is_not_kept() -> None:
    cache = PrefixCache(100)
    cache.put("a", torch.zeros(0))
    assert len(cache) == 0


def test_a_cache_that_is_cleared_starts_anew() -> None:
    cache = PrefixCache(100)
    cache.put("a", torch.zeros(10))
    cache.clear()
    assert (len(cache), cache.nbytes, cache.get("a")) == (0, 0, None)
    cache.put("b", torch.zeros(25))
    assert cache.nbytes == 100


@pytest.mark.parametrize(("bound", "enabled", "use"), [(0, False, None), (1, True, "miss")])
def test_a_bound_of_nothing_turns_it_off(
    make_engine: Callable[..., VisionQA], *, bound: int, enabled: bool, use: str | None
) -> None:
    engine = make_engine(cache_bytes=bound)
    assert engine.cache.enabled == enabled
    assert [engine.answer(asked(scene(1), max_new_tokens=1)).cache for _ in range(2)] == [use, use]
    assert len(engine.cache) == 0


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps its heap in another way")
def test_free_memory_between_what_is_kept_goes_back() -> None:
    blocks = [torch.ones(16_000) for _ in range(4000)]  # 64 KB each, all from the heap
    kept = blocks[::2]
    del blocks
    before = psutil.Process().memory_info().rss
    give_back()
    assert before - psutil.Process().memory_info().rss > 60_000_000
    assert all(block[0] == 1 for block in kept)


def test_where_the_c_library_gives_nothing_back_nothing_is_asked_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    give_back()


def test_an_entry_is_a_copy_in_memory_of_its_own() -> None:
    cache, tensor = PrefixCache(1000), torch.arange(12.0).reshape(3, 4)
    cache.put("key", tensor)
    tensor.zero_()
    found = cache.get("key")
    assert found is not None
    assert torch.equal(found, torch.arange(12.0).reshape(3, 4))
    assert found.data_ptr() % mmap.PAGESIZE == 0
