"""The engine's behaviour around a fake backend."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image
from tokenizers import Tokenizer

from services.common.images import decode
from services.matcha.backends import Hardware
from services.matcha.engine import ChartQA
from services.matcha.header import render_header
from services.matcha.header.fonts import load_font
from services.matcha.patches import Floats, flatten_patches
from services.matcha.types import ChartAnswer, ChartQuestion, Limits
from services.wire.errors import InvalidRequestError, UnsupportedImageError
from tests.images import encode

FOLDER = Path(__file__).parents[3] / "models/tiny-matcha"
FONTS = Path(mpl.__file__).parent / "mpl-data/fonts/ttf"
EOS = 1


@dataclass
class Told:
    """A backend with fixed answers, which records its requests."""

    answers: list[list[int]] = field(default_factory=list)
    positions: int = 512
    fixed_patches: int | None = None
    end_token_ids: tuple[int, ...] = (EOS,)
    asked: list[tuple[Floats, int]] = field(default_factory=list)
    fails_on: int | None = None  # limit
    most: int = 9

    def generate(self, patches: Sequence[Floats], limits: Sequence[int]) -> list[list[int]]:
        assert patches  # it is never called without work
        if self.fails_on in limits or len(patches) > self.most:
            raise RuntimeError(limits)
        self.asked += zip(patches, limits, strict=True)
        return self.answers[: len(patches)]


def engine(told: Told, font: Path | None = None, **limits: int) -> ChartQA:
    return ChartQA(told, Tokenizer.from_file(str(FOLDER / "tokenizer.json")), load_font(font), Limits(**limits))


def question(
    width: int = 90, height: int = 60, text: str = "What?", patches: int | None = 50, tokens: int = 9
) -> ChartQuestion:
    chart = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    return ChartQuestion(encode(chart), text, tokens, patches)


def ids(text: str) -> list[int]:
    encoded: list[int] = Tokenizer.from_file(str(FOLDER / "tokenizer.json")).encode(text, add_special_tokens=False).ids
    return encoded


def test_answers_come_in_order_each_with_its_own_end_and_size() -> None:
    told = Told([[*ids("Scatter plot"), EOS], ids(" chart, 25"), [EOS], [*ids("Yes"), EOS]])
    asked = [question(patches=n, tokens=t) for n, t in ((50, 9), (20, 3), (80, 8), (35, 7))]
    given = engine(told).answer(asked)
    assert all(isinstance(each, ChartAnswer) for each in given)
    answers = [each for each in given if isinstance(each, ChartAnswer)]
    assert [(each.text, each.finish_reason) for each in answers] == [
        ("Scatter plot", "stop"),
        ("chart, 25", "length"),
        ("", "stop"),
        ("Yes", "stop"),
    ]
    assert [each.completion_tokens for each in answers] == [len(each) for each in told.answers]
    assert [each.patches for each in answers] == [len(rows) for rows, _ in told.asked]
    assert [limit for _, limit in told.asked] == [9, 3, 8, 7]
    assert len({each.patches for each in answers}) == len(asked)


def test_the_backend_sees_the_question_above_the_chart_in_the_font_given() -> None:
    seen = []
    for font in (None, FONTS / "DejaVuSansMono.ttf"):
        told = Told([[EOS]])
        asked = question(120, 70, "Which one of them?", patches=77)
        engine(told, font).answer([asked])
        drawn = render_header(decode(asked.image), asked.text, load_font(font))
        seen.append(told.asked[0][0])
        assert np.array_equal(seen[-1], flatten_patches(drawn, 77))
    assert not np.array_equal(seen[0], seen[1])


def test_a_question_that_the_font_cannot_draw_is_refused_unless_another_can() -> None:
    told = Told([[*ids("Rice"), EOS]] * 2)
    refused, answer = engine(told).answer([question(text="Säule?"), question(text="What?")])
    assert isinstance(refused, InvalidRequestError)
    assert "ä (U+00E4)" in refused.message
    assert (refused.status, refused.param) == (422, "question")
    assert isinstance(answer, ChartAnswer)
    fonts = load_font(None), load_font(FONTS / "DejaVuSans.ttf")
    several = ChartQA(told, Tokenizer.from_file(str(FOLDER / "tokenizer.json")), fonts)
    assert all(
        isinstance(each, ChartAnswer) for each in several.answer([question(text="Säule?"), question(text="Süd?")])
    )
    (*_, (one, _), (two, _)) = told.asked
    assert not np.array_equal(one, two)


def test_an_engine_is_loaded_from_a_folder_with_its_tokenizer_and_font(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tokenizer.json").write_bytes((FOLDER / "tokenizer.json").read_bytes())
    (tmp_path / "header.ttf").write_bytes((FONTS / "DejaVuSansMono.ttf").read_bytes())
    told, given = Told([[*ids("Rice"), EOS]]), []

    def load(*asked: object) -> Told:
        given.append(asked)
        return told

    monkeypatch.setattr("services.matcha.engine.load_backend", load)
    hardware = Hardware(threads=5, device="cuda")
    more = [FONTS / "DejaVuSans.ttf"]
    made = ChartQA.load(tmp_path, "header.ttf", "bf16", hardware, Limits(max_patches=70, default_patches=60), more)
    assert given == [("bf16", tmp_path, hardware)]
    (answer,) = made.answer([question(120, 70, "Which one?", patches=None)])
    assert isinstance(answer, ChartAnswer)
    assert answer.text == "Rice"
    drawn = render_header(decode(question(120, 70).image), "Which one?", load_font(FONTS / "DejaVuSansMono.ttf"))
    assert np.array_equal(told.asked[0][0], flatten_patches(drawn, 60))


@pytest.mark.parametrize(
    ("wanted", "default", "limit", "cut_to"),
    [
        (None, 70, 400, 70),  # the model's default
        (None, 70, 50, 50),  # the server's limit is below the model's default
        (None, 70, 70, 70),
        (1, 70, 50, 1),
        (49, 30, 50, 49),
        (50, 30, 50, 50),
    ],
)
def test_patches_are_the_questions_or_the_models_within_the_limit(
    wanted: int | None, default: int, limit: int, cut_to: int
) -> None:
    told = Told([[EOS]])
    engine(told, max_patches=limit, default_patches=default).answer([question(90, 60, patches=wanted)])
    expected = flatten_patches(render_header(decode(question(90, 60).image), "What?", load_font(None)), cut_to)
    assert np.array_equal(told.asked[0][0], expected)


def test_pix2structs_own_default_is_2048_patches_and_a_server_allows_4096() -> None:
    assert (Limits().default_patches, Limits().max_patches) == (2048, 4096)


@pytest.mark.parametrize("wanted", [51, 4096])
def test_more_patches_than_the_limit_are_refused(wanted: int) -> None:
    (refused,) = engine(Told(), max_patches=50).answer([question(patches=wanted)])
    assert isinstance(refused, InvalidRequestError)
    assert (refused.message, refused.param) == (f"'max_patches' is {wanted}, this server allows 50", "max_patches")


def test_a_broken_image_is_refused_in_its_place() -> None:
    broken = ChartQuestion(b"none", "What?", 9, 50)
    refused, answer = engine(Told([[*ids("Rice"), EOS]])).answer([broken, question()])
    assert isinstance(refused, UnsupportedImageError)
    assert isinstance(answer, ChartAnswer)
    assert answer.text == "Rice"


def test_graphs_bound_to_a_number_of_patches_take_no_more() -> None:
    made = engine(Told([[EOS]] * 3, fixed_patches=60))
    *taken, refused = made.answer([question(patches=patches) for patches in (1, 59, 60, 61)])
    assert [type(each) for each in taken] == [ChartAnswer] * 3
    assert isinstance(refused, InvalidRequestError)
    assert refused.message == "'max_patches' is 61, this model's graphs were exported for 60"
    assert refused.param == "max_patches"


@pytest.mark.parametrize(("size", "longer"), [((60, 1900), 0), ((2600, 20), 1)], ids=["rows", "columns"])
def test_a_side_as_long_as_the_model_knows_is_taken_and_no_longer_one(size: tuple[int, int], longer: int) -> None:
    """Ids begin at 1, and the position table at 0: with 30 positions, ids go up to 29."""
    asked = question(*size, patches=80)
    told = Told([[EOS]])
    engine(told).answer([asked])
    sides = told.asked[0][0][:, :2].max(axis=0).astype(int)
    assert sides.argmax() == longer
    longest = sides.max()
    (given,) = engine(Told([[EOS]], positions=longest + 1)).answer([asked])
    assert isinstance(given, ChartAnswer)
    (given,) = engine(Told([[EOS]], positions=longest)).answer([asked])
    assert isinstance(given, InvalidRequestError)
    assert given.message.startswith(
        f"the image needs {longest} patches along one side, this model supports {longest - 1}: "
    )
    assert given.param == "max_patches"


def test_a_bright_corner_is_no_side() -> None:
    """Values stand beside the ids: white is many deviations above the mean where little but the header is white."""
    told = Told([[EOS]], positions=2)
    chart = encode(Image.new("RGB", (120, 900)))
    (given,) = engine(told).answer([replace(question(), image=chart, max_patches=1)])
    ((patches, _),) = told.asked
    assert patches[0, :2].tolist() == [1, 1]
    assert patches[0, 2] > 2
    assert isinstance(given, ChartAnswer)


def test_bad_questions_get_their_errors_in_their_places() -> None:
    told = Told([[*ids("Rice"), EOS], [*ids("Wool"), EOS]], fixed_patches=60)
    asked = [question(patches=61), question(tokens=4), question(1, 20_000), question(patches=30, tokens=2)]
    greedy, first, thin, last = engine(told).answer(asked)
    assert isinstance(greedy, InvalidRequestError)
    assert isinstance(thin, InvalidRequestError)
    assert (greedy.param, thin.param) == ("max_patches", "image")
    assert "1 x 20000" in thin.message
    assert isinstance(first, ChartAnswer)
    assert isinstance(last, ChartAnswer)
    assert (first.text, last.text) == ("Rice", "Wool")
    assert [limit for _, limit in told.asked] == [4, 2]
    assert first.patches > 40 > last.patches


def test_nothing_but_bad_questions_need_no_backend() -> None:
    (refused,) = engine(Told(fixed_patches=60)).answer([question(patches=61)])
    assert isinstance(refused, InvalidRequestError)


def test_times_are_milliseconds_of_each_part(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 100.25, 102.0])
    made = engine(Told([[EOS]]))
    monkeypatch.setattr("services.matcha.engine.time.perf_counter", lambda: next(clock))
    (given,) = made.answer([question()])
    assert isinstance(given, ChartAnswer)
    assert (given.preprocess_ms, given.inference_ms) == (250, 1750)


def test_a_defect_on_one_of_a_batch_leaves_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    rice = [*ids("Rice"), EOS]
    asked = [question(tokens=tokens) for tokens in (3, 4, 5)]
    first, failed, last = engine(Told([rice], fails_on=4)).answer(asked)
    assert isinstance(failed, RuntimeError)
    for given in (first, last):
        assert isinstance(given, ChartAnswer)
        assert given.text == "Rice"
    texts = [each.text for each in engine(Told([rice], most=1)).answer(asked) if isinstance(each, ChartAnswer)]
    assert texts == ["Rice"] * 3, "a batch for which there is too little memory"

    def defect(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("services.matcha.engine.images.decode", defect)
    (failed,) = engine(Told()).answer([question()])
    assert isinstance(failed, ZeroDivisionError)
