"""Images for calibrating activations."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from services.common.artifact.manifest import PrepareError
from services.matcha.header import render_header
from services.matcha.header.fonts import load_font
from services.matcha.patches import flatten_patches
from services.matcha.prepare import calibrate
from services.matcha.prepare.calibrate import calibration_images, calibration_patches
from tests.unit.matcha.making import MONO


def numbered(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"{number:03}.png" for number in range(count)]
    for path in paths:
        path.touch()
    return paths


@pytest.mark.parametrize("count", [1, 2, 23, 24])
def test_up_to_24_are_all_taken(count: int, tmp_path: Path) -> None:
    paths = numbered(tmp_path, count)
    assert calibration_images(tmp_path) == paths


def test_of_more_24_are_taken_from_the_first_to_the_last(tmp_path: Path) -> None:
    paths = numbered(tmp_path, 47)
    assert calibration_images(tmp_path) == paths[::2]


def test_images_are_found_by_their_endings_in_folders_of_folders(tmp_path: Path) -> None:
    (tmp_path / "deep/er").mkdir(parents=True)
    for name in ("a.PNG", "deep/b.jpeg", "deep/er/c.Jpg", "d.gif", "png", "e.png.txt"):
        (tmp_path / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in calibration_images(tmp_path)]
    assert found == ["a.PNG", "deep/b.jpeg", "deep/er/c.Jpg"]


def test_a_folder_without_any_is_named(tmp_path: Path) -> None:
    with pytest.raises(PrepareError, match=f"{tmp_path} contains no PNG or JPEG images"):
        calibration_images(tmp_path)


def test_each_is_asked_a_question_in_turn_drawn_as_it_will_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = ("What is the title?", "Which is the highest of all?", "How many?")
    monkeypatch.setattr(calibrate, "_QUESTIONS", questions)
    images = [Image.effect_noise((90 + 10 * index, 60), 80).convert("1") for index in range(5)]
    for index, image in enumerate(images):
        image.save(tmp_path / f"{index}.png")
    found = calibration_patches(tmp_path, MONO, 55)
    for image, question, rows in zip(images, (*questions, *questions), found, strict=False):
        drawn = render_header(image.convert("RGB"), question, load_font(MONO))
        assert np.array_equal(rows, flatten_patches(drawn, 55))
    assert len(found) == len(images)


def test_one_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    Image.new("L", (90, 60)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    with pytest.raises(PrepareError) as refused:
        calibration_patches(tmp_path, None, 55)
    assert str(refused.value).startswith(f"{tmp_path / 'b.png'} cannot be read as an image")
    assert str(refused.value).endswith(f": remove it from {tmp_path}")


def test_a_chart_without_a_background_is_on_white_as_it_will_be_served(tmp_path: Path) -> None:
    Image.new("LA", (90, 60), (0, 0)).save(tmp_path / "a.png")
    (rows,) = calibration_patches(tmp_path, MONO, 55)
    white = render_header(Image.new("RGB", (90, 60), "white"), calibrate._QUESTIONS[0], load_font(MONO))  # noqa: SLF001
    assert np.array_equal(rows, flatten_patches(white, 55))
