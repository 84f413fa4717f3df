"""Scenes, images and questions of the embedded Qwen2-VL's training."""

import itertools
import math
import random
import re
from collections.abc import Callable

import pytest

from services.training.tiny_qwen_vl.data.cases import Case, held_out_cases
from services.training.tiny_qwen_vl.data.drawing import draw
from services.training.tiny_qwen_vl.data.outside import OUTSIDE
from services.training.tiny_qwen_vl.data.questions import (
    KINDS,
    LANGUAGES,
    PHRASES,
    QUERIES,
    ask,
    count_of,
    further_queries,
    numeral,
    things,
)
from services.training.tiny_qwen_vl.data.scenes import MAX_ITEMS, SIDE, Item, Query, Scene, sample_scene


def scenes(number: int) -> list[tuple[Query, int, Scene]]:
    rng = random.Random("test scenes")
    sampled = []
    for _ in range(number):
        query, answer = rng.choice(QUERIES[rng.choice(KINDS)]), rng.randint(0, 5)
        sampled.append((query, answer, sample_scene(rng, query, answer, rng.randint(0, MAX_ITEMS - answer))))
    return sampled


def test_a_scene_holds_as_many_as_it_was_made_for() -> None:
    for query, answer, scene in scenes(200):
        assert scene.count(query) == answer
        assert len(scene.items) <= MAX_ITEMS


def test_items_lie_inside_and_do_not_touch() -> None:
    for _, _, scene in scenes(100):
        for item in scene.items:
            assert item.radius <= item.x <= SIDE - item.radius
            assert item.radius <= item.y <= SIDE - item.radius
        for one, other in itertools.combinations(scene.items, 2):
            assert math.hypot(one.x - other.x, one.y - other.y) > one.radius + other.radius


def test_the_same_seed_gives_the_same_scenes_and_images() -> None:
    first, second = scenes(5), scenes(5)
    assert first == second
    assert [draw(scene).tobytes() for *_, scene in first] == [draw(scene).tobytes() for *_, scene in second]


def test_an_image_shows_each_item_in_its_ink_at_its_place() -> None:
    item = Item("red", "square", (200, 30, 40), 30.0, 70.0, 12.0, 0.0)
    image = draw(Scene((250, 250, 250), (item,)))
    assert image.size == (112, 112)
    assert image.getpixel((30, 70)) == (200, 30, 40)
    assert image.getpixel((90, 20)) == (250, 250, 250)


@pytest.mark.parametrize(
    ("query", "english", "chinese"),
    [
        (Query(), "shapes", "图形"),
        (Query(colour="red"), "red shapes", "红色的图形"),
        (Query(shape="cross"), "crosses", "十字形"),
        (Query("blue", "ring"), "blue rings", "蓝色的圆环"),
    ],
)
def test_things_are_named_in_both_languages(query: Query, english: str, chinese: str) -> None:
    assert (things(query, "en"), things(query, "zh")) == (english, chinese)


def test_a_kind_is_what_its_queries_name() -> None:
    for kind, queries in QUERIES.items():
        assert {query.kind for query in queries} == {kind}


def test_a_question_is_in_its_language_and_has_the_scene_s_answer() -> None:
    rng = random.Random(1)
    for query, answer, scene in scenes(20):
        for language in LANGUAGES:
            question = ask(rng, scene, query, language)
            assert question.answer == answer
            assert question.text in {phrase.format(things=things(query, language)) for phrase in PHRASES[language]}


def test_further_questions_never_count_more_than_can_be_answered() -> None:
    rng = random.Random(2)
    for *_, scene in scenes(50):
        assert all(scene.count(query) <= 5 for query in further_queries(rng, scene, 10))


@pytest.mark.parametrize("count", range(6))
def test_both_numerals_name_their_count(count: int) -> None:
    assert (numeral(count, "en"), numeral(count, "zh")) == ("012345"[count], "零一二三四五"[count])
    assert count_of(numeral(count, "en")) == count_of(numeral(count, "zh")) == count


@pytest.mark.parametrize("text", ["", "12", "三个", "²", "x", " 3"])
def test_what_is_no_single_numeral_names_no_count(text: str) -> None:
    assert count_of(text) is None


def test_the_held_out_set_has_every_answer_equally_often() -> None:
    cases = held_out_cases(per_cell=1)
    cells = [(case.question.language, case.question.kind, case.question.answer) for case in cases]
    assert sorted(cells) == sorted(itertools.product(LANGUAGES, KINDS, range(6)))


TOLD: dict[str, Callable[[Case], object]] = {
    "8 to 10 items": lambda case: case.question.kind != "total",
    "counts of 6 to 8": lambda case: case.question.answer >= 6,
    "new colours": lambda case: (
        "colour" not in case.question.kind or re.search("orange|pink|brown", case.question.text)
    ),
    "new shapes": lambda case: "shape" not in case.question.kind or re.search("hexagon|diamond", case.question.text),
    "noise": lambda case: len(case.image.getcolors(1 << 16) or ()) > 5000,
    "224 x 224 px": lambda case: case.image.size == (224, 224),
    "224 x 112 px": lambda case: case.image.size == (224, 112),
    "instruction added": lambda case: case.question.text.endswith(" Output single word with exact number."),
    "other wording": lambda case: re.search("I drew|I wonder|请告诉我|你看到了", case.question.text),
    "Spanish": lambda case: case.question.text.startswith("¿Cuántas"),
}
"""How a case of a set outside can be told from a held-out one, where the eye is not needed."""


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_set_outside_differs_from_the_held_out_one(name: str) -> None:
    cases = OUTSIDE[name].sample(random.Random(0), 1)
    if name in TOLD:
        assert all(map(TOLD[name], cases))
        assert not all(map(TOLD[name], held_out_cases(per_cell=1)))
    answers = [6, 7, 8] if name == "counts of 6 to 8" else [0, 1, 2, 3, 4, 5]
    assert sorted({case.question.answer for case in cases}) == answers
