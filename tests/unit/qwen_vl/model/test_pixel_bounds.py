"""The pixel count that images are scaled to: bounds of the model, the server and the request."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from services.qwen_vl.model.prompt import PromptBuilder
from services.wire.errors import InvalidRequestError
from tests.unit.qwen_vl.conftest import FOLDER, build


def test_a_server_limit_scales_images_down(tmp_path: Path) -> None:
    folder = shutil.copytree(FOLDER, tmp_path / "model", ignore=shutil.ignore_patterns("*.safetensors"))
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    settings["size"] = {"shortest_edge": 3136, "longest_edge": 784 * 300}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    image = Image.new("RGB", (2000, 1000))
    limits = (1, 784 * 50, 784 * 10_000)
    small, middle, own = (build(PromptBuilder(folder, limit), image, "?").image_tokens for limit in limits)
    assert small <= 4 < middle <= 50 < own <= 300


def test_pixel_bounds_of_a_request_hold_and_keep_the_aspect(prompts: PromptBuilder) -> None:
    image = Image.new("RGB", (600, 300))
    for bounds, low, high in [({"high": 50_000}, 1, 50_000), ({"low": 300_000}, 300_000, 400_000)]:
        (span,) = build(prompts, image, "?", **bounds).spans
        rows, columns = span.grid
        assert low <= rows * columns * 14 * 14 <= high
        assert len(prompts.pixels(span)) == rows * columns
        assert columns / rows == pytest.approx(2, rel=0.2)


@pytest.mark.parametrize(
    ("bounds", "param"), [({"high": 2_000_000}, "max_pixels"), ({"low": 2_000_000}, "min_pixels")], ids=str
)
def test_pixel_bounds_stay_within_the_servers(prompts: PromptBuilder, bounds: dict[str, int], param: str) -> None:
    with pytest.raises(InvalidRequestError, match="this server allows") as refused:
        build(prompts, Image.new("RGB", (112, 112)), "?", **bounds)
    assert refused.value.param == param


def test_an_image_may_have_as_many_pixels_as_the_server_allows() -> None:
    at_the_limit = PromptBuilder(FOLDER, max_pixels=50_000)
    for bounds in ({"high": 50_000}, {"low": 50_000}, {"low": 50_000, "high": 50_000}):
        (span,) = build(at_the_limit, Image.new("RGB", (112, 112)), "?", **bounds).spans
        assert span.size["longest_edge"] == 50_000
    for bounds in ({"high": 50_001}, {"low": 50_001}):
        with pytest.raises(InvalidRequestError, match="is 50001, this server allows 50000"):
            build(at_the_limit, Image.new("RGB", (112, 112)), "?", **bounds)


@pytest.mark.parametrize(
    ("limit", "bounds", "size"),
    [
        (1_003_520, {}, (12_100, 12_996)),  # the model's own
        (12_500, {}, (12_100, 12_500)),
        (5000, {}, (5000, 5000)),
        (1_003_520, {"low": 12_990}, (12_990, 12_996)),
        (1_003_520, {"low": 13_000}, (13_000, 13_000)),
        (1_003_520, {"high": 12_200}, (12_100, 12_200)),
        (1_003_520, {"high": 800}, (800, 800)),
        (1_003_520, {"low": 900, "high": 20_000}, (900, 20_000)),
    ],
    ids=str,
)
def test_what_a_request_leaves_open_is_the_models_own_or_the_nearest_to_it(
    limit: int, bounds: dict[str, int], size: tuple[int, int]
) -> None:
    (span,) = build(PromptBuilder(FOLDER, limit), Image.new("RGB", (112, 112)), "?", **bounds).spans
    assert (span.size["shortest_edge"], span.size["longest_edge"]) == size


def test_bounds_that_cross_are_refused(prompts: PromptBuilder) -> None:
    with pytest.raises(InvalidRequestError, match="is 20001, more than 'max_pixels', which is 20000") as bad:
        build(prompts, Image.new("RGB", (112, 112)), "?", low=20_001, high=20_000)
    assert bad.value.param == "min_pixels"
