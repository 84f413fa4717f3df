"""What the engine does around a backend, which answers here as it is told."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image
from tokenizers import Tokenizer

from services.common.errors import InvalidRequestError
from services.matcha.backends import LOADERS, Backend, Hardware
from services.matcha.engine import ChartAnswer, ChartQA, ChartQuestion
from services.matcha.header import load_font, render_header
from services.matcha.patches import Floats, flatten_patches

FOLDER = Path(__file__).parents[3] / "models/tiny-matcha"
FONTS = Path(mpl.__file__).parent / "mpl-data/fonts/ttf"
EOS = 1


@dataclass
class Told:
    """A backend with answers at hand, which keeps what it was asked."""

    answers: list[list[int]] = field(default_factory=list)
    positions: int = 512
    fixed_patches: int | None = None
    eos_token_id: int = EOS
    asked: list[tuple[Floats, int]] = field(default_factory=list)

    def generate(self, patches: Sequence[Floats], limits: Sequence[int]) -> list[list[int]]:
        assert patches  # nothing is asked of it for nothing
        self.asked += zip(patches, limits, strict=True)
        return self.answers[: len(patches)]


def engine(told: Told, monkeypatch: pytest.MonkeyPatch, folder: Path = FOLDER, font: str | None = None) -> ChartQA:
    def load(given: Path, hardware: Hardware) -> Backend:
        assert (given, hardware) == (folder, Hardware(threads=5, device="cuda"))
        return told

    monkeypatch.setitem(LOADERS, "bf16", load)
    return ChartQA(folder, font, "bf16", Hardware(threads=5, device="cuda"))


def question(
    width: int = 90, height: int = 60, text: str = "What?", patches: int = 50, tokens: int = 9
) -> ChartQuestion:
    chart = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    return ChartQuestion(chart, text, patches, tokens)


def ids(text: str) -> list[int]:
    encoded: list[int] = Tokenizer.from_file(str(FOLDER / "tokenizer.json")).encode(text, add_special_tokens=False).ids
    return encoded


def test_answers_come_in_order_each_with_its_own_end_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told([[*ids("Scatter plot"), EOS], ids(" chart, 25"), [EOS], [*ids("Yes"), EOS]])
    asked = [question(patches=n, tokens=t) for n, t in ((50, 9), (20, 3), (80, 8), (35, 7))]
    given = engine(told, monkeypatch).answer(asked)
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


def test_the_backend_sees_the_question_above_the_chart_in_the_folders_font(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "tokenizer.json").write_bytes((FOLDER / "tokenizer.json").read_bytes())
    (tmp_path / "header.ttf").write_bytes((FONTS / "DejaVuSansMono.ttf").read_bytes())
    seen = []
    for font in (None, "header.ttf"):
        told = Told([[EOS]])
        asked = question(120, 70, "Which one of them?", patches=77)
        engine(told, monkeypatch, tmp_path, font).answer([asked])
        drawn = render_header(asked.chart, asked.text, load_font(FONTS / "DejaVuSansMono.ttf" if font else None))
        seen.append(told.asked[0][0])
        assert np.array_equal(seen[-1], flatten_patches(drawn, 77))
    assert not np.array_equal(seen[0], seen[1])


def test_graphs_bound_to_a_number_of_patches_take_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    made = engine(Told([[EOS]] * 3, fixed_patches=60), monkeypatch)
    *taken, refused = made.answer([question(patches=patches) for patches in (1, 59, 60, 61)])
    assert [type(each) for each in taken] == [ChartAnswer] * 3
    assert isinstance(refused, InvalidRequestError)
    assert refused.message == "'max_patches' is 61, this model's graphs were exported for 60"
    assert refused.param == "max_patches"


@pytest.mark.parametrize(("size", "longer"), [((60, 1900), 0), ((2600, 20), 1)], ids=["rows", "columns"])
def test_a_side_as_long_as_the_model_knows_is_taken_and_no_longer_one(
    size: tuple[int, int], longer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids begin at 1, and the table of positions at 0: 30 positions are ids up to 29."""
    asked = question(*size, patches=80)
    told = Told([[EOS]])
    engine(told, monkeypatch).answer([asked])
    sides = told.asked[0][0][:, :2].max(axis=0).astype(int)
    assert sides.argmax() == longer
    longest = sides.max()
    (given,) = engine(Told([[EOS]], positions=longest + 1), monkeypatch).answer([asked])
    assert isinstance(given, ChartAnswer)
    (given,) = engine(Told([[EOS]], positions=longest), monkeypatch).answer([asked])
    assert isinstance(given, InvalidRequestError)
    assert given.message.startswith(
        f"the picture needs {longest} patches along one side, this model knows {longest - 1}: "
    )
    assert given.param == "max_patches"


def test_a_bright_corner_is_no_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values stand beside the ids: white is many deviations above the mean where little but the header is white."""
    told = Told([[EOS]], positions=2)
    asked = replace(question(), chart=Image.new("RGB", (120, 900)), max_patches=1)
    (given,) = engine(told, monkeypatch).answer([asked])
    ((patches, _),) = told.asked
    assert patches[0, :2].tolist() == [1, 1]
    assert patches[0, 2] > 2
    assert isinstance(given, ChartAnswer)


def test_bad_questions_get_their_errors_in_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told([[*ids("Rice"), EOS], [*ids("Wool"), EOS]], fixed_patches=60)
    asked = [question(patches=61), question(tokens=4), question(1, 20_000), question(patches=30, tokens=2)]
    greedy, first, thin, last = engine(told, monkeypatch).answer(asked)
    assert isinstance(greedy, InvalidRequestError)
    assert isinstance(thin, InvalidRequestError)
    assert (greedy.param, thin.param) == ("max_patches", "image")
    assert "1 x 20000" in thin.message
    assert isinstance(first, ChartAnswer)
    assert isinstance(last, ChartAnswer)
    assert (first.text, last.text) == ("Rice", "Wool")
    assert [limit for _, limit in told.asked] == [4, 2]
    assert first.patches > 40 > last.patches


def test_nothing_but_bad_questions_need_no_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    (refused,) = engine(Told(fixed_patches=60), monkeypatch).answer([question(patches=61)])
    assert isinstance(refused, InvalidRequestError)


def test_times_are_milliseconds_of_each_part(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 100.25, 102.0])
    made = engine(Told([[EOS]]), monkeypatch)
    monkeypatch.setattr("services.matcha.engine.time.perf_counter", lambda: next(clock))
    (given,) = made.answer([question()])
    assert isinstance(given, ChartAnswer)
    assert (given.preprocess_ms, given.inference_ms) == (250, 1750)
