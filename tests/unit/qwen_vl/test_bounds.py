"""What one request may ask of the engine: at each bound, and one above it."""

from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from services.qwen_vl.engine import VisionQA
from services.qwen_vl.types import ImageFile, LensOptions, Question, Turn
from services.wire.errors import InvalidRequestError, PromptTooLongError, UnsupportedImageError
from tests.images import encode
from tests.unit.qwen_vl.conftest import asked, scene

BROKEN = ImageFile(scene(1).data[:-200])


@pytest.fixture(scope="module")
def bounded(make_engine: Callable[..., VisionQA]) -> VisionQA:
    return make_engine(max_prompt_tokens=70, max_grid_readings=32, cache_bytes=0)


def digits(engine: VisionQA, tokens: int, **options: int) -> Question:
    """A question whose prompt has that many tokens: a digit is always one token."""
    shortest = engine.prompts.build(asked(scene(1), "1")).tokens
    return asked(scene(1), "1" * (tokens - shortest + 1), **options)


@pytest.mark.parametrize(
    ("options", "param", "told"),
    [
        ({"layers": (9,)}, "lens.layers", "0 \\(the embedding\\) to 8"),
        ({"layers": (-1,)}, "lens.layers", "0 \\(the embedding\\) to 8"),
        ({"track": ("12",)}, "lens.track", "2 tokens: '1', '2'"),
    ],
)
def test_what_the_lens_cannot_read_is_refused(engine: VisionQA, options: dict[str, Any], param: str, told: str) -> None:
    with pytest.raises(InvalidRequestError, match=told) as refused:
        engine.begin(asked(scene(1), lens=LensOptions(**options)))
    assert refused.value.param == param


def test_a_broken_image_is_refused_and_leaves_nothing(make_engine: Callable[..., VisionQA]) -> None:
    engine = make_engine()
    broken = ImageFile(scene(1).data[:-200], "messages.0.content.1.image_url")
    turns = (Turn("user", (scene(1), broken, "How many?")),)
    with pytest.raises(UnsupportedImageError) as refused:
        engine.begin(Question(turns, 1))
    assert refused.value.param == broken.name
    assert len(engine.cache) == 0


def test_a_prompt_may_be_as_long_as_the_server_allows(bounded: VisionQA) -> None:
    assert bounded.answer(digits(bounded, 70)).prompt_tokens == 70
    with pytest.raises(PromptTooLongError, match="has 71 tokens, 16 of them for 1 images, at most 70 are allowed"):
        bounded.begin(digits(bounded, 71))


@pytest.mark.parametrize("most", [1, 9])
def test_prompt_and_answer_may_fill_the_models_positions(
    engine: VisionQA, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(engine.network, "max_positions", 80)
    assert engine.answer(digits(engine, 80 - most, max_new_tokens=most)).prompt_tokens == 80 - most
    with pytest.raises(PromptTooLongError, match=f"at most {80 - most} are allowed"):
        engine.begin(digits(engine, 81 - most, max_new_tokens=most))


def test_the_models_positions_are_those_of_its_config(engine: VisionQA) -> None:
    assert engine.network.max_positions == 4096
    assert engine.num_layers == 8


def test_a_prompt_that_is_too_long_is_refused_before_an_image_is_decoded(bounded: VisionQA) -> None:
    broken = ImageFile(encode(Image.effect_noise((112, 112), 80), "JPEG")[:-200])
    with pytest.raises(PromptTooLongError):
        bounded.begin(asked(broken, "How many circles are there? " * 8))
    with pytest.raises(UnsupportedImageError):
        bounded.begin(asked(broken))


@pytest.mark.parametrize(
    ("layers", "images", "readings"),
    [((1, 2), 1, 32), ((2, 1, 1, 2), 1, 32), ((0,), 2, 32), ((1, 2, 3), 1, 48), ((1, 2), 2, 64), (None, 1, 144)],
    ids=str,
)
def test_readings_of_image_tokens_are_bounded(
    bounded: VisionQA, layers: tuple[int, ...] | None, images: int, readings: int
) -> None:
    turns = (Turn("user", (*[scene(1)] * images, "How many?")),)
    question = Question(turns, 1, lens=LensOptions(layers=layers, image_tokens=True))
    if readings <= 32:
        grids = bounded.answer(question).lens.grids  # type: ignore[union-attr]
        assert sum(len(layer) for grid in grids or [] for layer in grid.layers) == readings
    else:
        with pytest.raises(InvalidRequestError, match=f"needs {readings} readings, at most 32") as refused:
            bounded.begin(question)
        assert refused.value.param == "lens.image_tokens"
    assert bounded.answer(Question(turns, 1, lens=LensOptions(layers=layers))).lens is not None


def test_the_first_and_the_last_layer_can_be_read_alone(engine: VisionQA) -> None:
    for layer in (0, 8):
        answer = engine.answer(asked(scene(1), lens=LensOptions(layers=(layer,))))
        assert answer.lens is not None
        assert (answer.lens.layers, len(answer.lens.steps[0].layers)) == ((layer,), 1)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_one_broken_image_of_several_is_refused(engine: VisionQA, order: tuple[int, int]) -> None:
    images = (scene(2), BROKEN)
    with pytest.raises(UnsupportedImageError):
        engine.begin(Question((Turn("user", (*(images[one] for one in order), "How many?")),), max_new_tokens=1))
