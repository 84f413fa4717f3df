"""Keys of the prefix cache: equal if and only if everything that the cached tensors depend on is equal."""

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.qwen_vl.engine import VisionQA
from services.qwen_vl.model.prompt import Prompt, PromptBuilder
from services.qwen_vl.types import ImageFile, LensOptions, Question, Role, Turn
from tests.unit.qwen_vl.conftest import marked, scene

IMAGES = [scene(1), scene(2), marked(), marked((1, 2)), marked(size=(90, 200))]
"""Two of 4 rows and 4 columns, two of 2 rows and 6 columns, and one of 6 rows and 2 columns."""
ROLES: tuple[Role, ...] = ("user", "assistant")
PART = st.one_of(st.sampled_from(IMAGES), st.sampled_from(["How many?", "How", " many?", "图"]))
TURN = st.tuples(st.sampled_from(ROLES), st.lists(PART, min_size=1, max_size=3).map(tuple))
CONVERSATION = st.tuples(st.booleans(), st.lists(TURN, min_size=1, max_size=3), st.sampled_from([None, 6300, 20_000]))


def prompt_of(
    prompts: PromptBuilder, conversation: tuple[bool, list[tuple[Role, tuple[str | ImageFile, ...]]], int]
) -> Prompt:
    brief, turns, most = conversation
    system = [Turn("system", ("Be brief.",))] if brief else []
    return prompts.build(
        Question((*system, *(Turn(role, parts) for role, parts in turns)), 1, min_pixels=1000, max_pixels=most)
    )


def depends_on(prompts: PromptBuilder, prompt: Prompt, number: int) -> object:
    """What the model sees up to the end of an image: the text, and every image in it with its grid."""
    span = prompt.spans[number]
    text = prompts.tokenizer.decode(prompt.input_ids[0, : span.end])
    return text, [(other.image.data, other.grid) for other in prompt.spans[: number + 1]]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(CONVERSATION, min_size=2, max_size=3), st.randoms(use_true_random=False))
def test_keys_are_equal_exactly_when_what_they_depend_on_is(
    prompts: PromptBuilder,
    conversations: list[tuple[bool, list[tuple[Role, tuple[str | ImageFile, ...]]], int]],
    rng: random.Random,
) -> None:
    brief, turns, most = conversations[0]
    longer = (brief, [*turns, ("user", (rng.choice(IMAGES), "And now?"))], most)
    swapped = (brief, [(role, (*parts[:-1], rng.choice(IMAGES))) for role, parts in turns], most)
    made = [prompt_of(prompts, one) for one in [*conversations, longer, swapped]]
    kept = [
        (prompt.prefix_key(span), depends_on(prompts, prompt, number), span.key, (span.image.data, span.grid))
        for prompt in made
        for number, span in enumerate(prompt.spans)
    ]
    for (key, seen, feature_key, image), (other, other_seen, other_feature, other_image) in combinations(kept, 2):
        assert (key == other) == (seen == other_seen)
        assert (feature_key == other_feature) == (image == other_image)
        assert key != other_feature


def test_the_grid_is_in_the_key_where_tokens_and_file_are_the_same(prompts: PromptBuilder) -> None:
    prompt = prompt_of(prompts, (False, [("user", (marked(), scene(2)))], 20_000))
    first, last = prompt.spans
    turned = replace(prompt, spans=(replace(first, grid=first.grid[::-1]), last))
    assert prompt.prefix_key(last) != turned.prefix_key(turned.spans[1])
    assert first.key != turned.spans[0].key


FIRST = ("system", "Be brief."), ("user", scene(1), "How many?"), ("assistant", "1"), ("user", scene(2), "And here?")
CHANGED = {
    "the first image": (("system", "Be brief."), ("user", scene(3), "How many?"), *FIRST[2:]),
    "the first question": (*FIRST[:1], ("user", scene(1), "How few?"), *FIRST[2:]),
    "the answer": (*FIRST[:2], ("assistant", "2"), *FIRST[3:]),
    "the system's text": (("system", "In words."), *FIRST[1:]),
    "the order of the images": (
        *FIRST[:1],
        ("user", scene(2), "How many?"),
        FIRST[2],
        ("user", scene(1), "And here?"),
    ),
    "who speaks": (*FIRST[:2], ("user", "1"), *FIRST[3:]),
    "the last image": (*FIRST[:3], ("user", scene(3), "And here?")),
}


def conversation(turns: tuple[tuple[str | ImageFile, ...], ...]) -> Question:
    return Question(tuple(Turn(role, parts) for role, *parts in turns), 2, lens=LensOptions(layers=(0, 8)))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def cached(make_engine: Callable[..., VisionQA]) -> VisionQA:
    return make_engine()


@pytest.mark.parametrize("changed", CHANGED.values(), ids=CHANGED.keys())
def test_an_answer_from_the_cache_is_about_the_conversation_that_was_asked(
    cached: VisionQA, engine: VisionQA, changed: tuple[tuple[str | ImageFile, ...], ...]
) -> None:
    cached.cache.clear()
    cached.answer(conversation(FIRST))
    assert cached.answer(conversation(FIRST)).cache == "hit"
    ours, theirs = cached.answer(conversation(changed)), engine.answer(conversation(changed))
    assert ours.cache == "miss"
    assert ours.lens is not None
    assert theirs.lens is not None
    assert ours.token_ids == theirs.token_ids
    for one, other in zip(ours.lens.steps[0].layers, theirs.lens.steps[0].layers, strict=True):
        assert one.probs == pytest.approx(other.probs, abs=1e-5)


def test_a_conversation_that_is_cut_short_and_goes_on_otherwise_starts_from_what_they_share(cached: VisionQA) -> None:
    cached.cache.clear()
    assert cached.answer(conversation(FIRST[:2])).cached_tokens == 0
    whole = cached.answer(conversation(FIRST))
    shared = cached.prompts.build(conversation(FIRST)).spans
    assert (whole.cache, whole.cached_tokens) == ("miss", shared[0].end)
    again = cached.answer(conversation((*FIRST[:3], ("user", scene(2), "Other words?"))))
    assert (again.cache, again.cached_tokens) == ("hit", shared[1].end)
