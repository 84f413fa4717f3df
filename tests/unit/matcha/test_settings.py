"""Settings of the service, and which variant it serves from which folder."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from services.common.artifact.variants import VariantError
from services.common.startup import read_settings
from services.matcha.__main__ import serve_matcha
from services.matcha.settings import MatchaSettings, chosen_variant
from services.matcha.variants import VARIANTS, VariantName

HELD = ["fp32", "bf16", "int8", "onnx-fp32", "onnx-int8", "openvino-int8"]
SERVED = {
    ("fp32", "fp32"),
    ("bf16", "bf16"),
    ("bf16", "fp32"),
    ("int8", "int8"),
    ("int8", "fp32"),
    ("onnx-fp32", "onnx-fp32"),
    ("onnx-int8", "onnx-int8"),
    ("openvino", "onnx-fp32"),
    ("openvino-int8", "openvino-int8"),
}
"""Variant and what a folder was prepared as: none is ever served from a coarser form, nor from another runtime's."""


@pytest.fixture
def bf16_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.matcha.settings.computes_in_bf16", lambda: False)


@pytest.fixture
def bf16_is_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.matcha.settings.computes_in_bf16", lambda: True)


@pytest.mark.usefixtures("bf16_is_fast")
@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_is_served_from_its_own_folders_alone(variant: VariantName, held: str) -> None:
    settings = MatchaSettings(variant=variant)
    if (variant, held) in SERVED:
        assert chosen_variant(settings, held) == variant
        return
    with pytest.raises(VariantError) as refused:
        chosen_variant(settings, held)
    wanted = " or ".join(sorted(folder for served, folder in SERVED if served == variant))
    assert f"prepared as {held}, which {variant} cannot use: prepare one as {wanted} (" in str(refused.value)


@pytest.mark.usefixtures("bf16_is_fast")
@pytest.mark.parametrize("held", HELD)
def test_the_folders_own_variant_is_the_default(held: str) -> None:
    assert chosen_variant(MatchaSettings(), held) == held


def test_a_folder_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(VariantError) as refused:
        chosen_variant(MatchaSettings(), "gguf")
    assert str(refused.value) == "the folder was prepared as gguf, which no variant can use"
    with pytest.raises(VariantError, match="prepared as gguf, which fp32 cannot"):
        chosen_variant(MatchaSettings(variant="fp32"), "gguf")


@pytest.mark.usefixtures("bf16_is_slow")
class TestAProcessorWithoutBf16:
    @pytest.mark.parametrize(("variant", "held"), [("bf16", "fp32"), ("bf16", "bf16"), (None, "bf16")])
    def test_bf16_is_refused_unless_forced(self, variant: VariantName | None, held: str) -> None:
        with pytest.raises(VariantError, match="--force-bf16"):
            chosen_variant(MatchaSettings(variant=variant), held)
        assert chosen_variant(MatchaSettings(variant=variant, force_bf16=True), held) == "bf16"

    def test_a_graphics_card_computes_it(self) -> None:
        assert chosen_variant(MatchaSettings(variant="bf16", device="cuda"), "fp32") == "bf16"

    @pytest.mark.parametrize(("variant", "held"), sorted(SERVED - {("bf16", "bf16"), ("bf16", "fp32")}))
    def test_other_variants_are_served(self, variant: VariantName, held: str) -> None:
        assert chosen_variant(MatchaSettings(variant=variant), held) == variant


BOUNDS: dict[str, tuple[float, float, float, float]] = {  # too small, minimum, maximum, too large
    "max_patches_limit": (0, 1, 16384, 16385),
    "max_batch_size": (0, 1, 64, 65),
    "batch_timeout_s": (0.0009, 0.001, 1, 1.001),
}


@pytest.mark.parametrize(("name", "bounds"), BOUNDS.items())
def test_each_number_has_its_bounds(name: str, bounds: tuple[float, float, float, float]) -> None:
    below, least, most, above = bounds
    for value in (least, most):
        assert getattr(MatchaSettings(**{name: value}), name) == value  # type: ignore[arg-type]
    for value in (below, above):
        with pytest.raises(ValidationError, match=name):
            MatchaSettings(**{name: value})  # type: ignore[arg-type]


def test_what_nobody_asked_for_is_off() -> None:
    settings = MatchaSettings()
    assert Path(settings.model).name == "tiny-matcha"
    assert (settings.variant, settings.device, settings.force_bf16, settings.allow_unverified) == (
        None,
        "cpu",
        False,
        False,
    )
    assert (settings.host, settings.max_patches_limit, settings.max_batch_size) == ("127.0.0.1", 4096, 1)


def test_each_is_read_from_the_environment_under_the_services_name(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {"VARIANT": "onnx-int8", "MAX_PATCHES_LIMIT": "321", "ALLOW_UNVERIFIED": "true"}
    for name, value in told.items():
        monkeypatch.setenv(f"MATCHA_{name}", value)
    settings = MatchaSettings()
    assert (settings.variant, settings.max_patches_limit, settings.allow_unverified) == ("onnx-int8", 321, True)


@pytest.mark.parametrize(
    ("told", "paths"), [("", []), ("a.ttf", [Path("a.ttf")]), ("a.ttf,/b c.ttf", [Path("a.ttf"), Path("/b c.ttf")])]
)
def test_fonts_are_separated_by_commas(told: str, paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings(MatchaSettings, ["--header-fonts", told]).header_fonts == paths
    monkeypatch.setenv("MATCHA_HEADER_FONTS", told)
    assert read_settings(MatchaSettings, []).header_fonts == paths


def test_a_font_that_is_none_is_named_before_anything_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "none.ttf").write_text("no font")
    with pytest.raises(SystemExit, match=rf"^cannot serve: {tmp_path}/none.ttf is not a usable font .*--header-fonts$"):
        serve_matcha(["--header-fonts", str(tmp_path / "none.ttf")])


def test_the_makefile_is_given_each_variant_with_the_folder_it_needs() -> None:
    command = [sys.executable, "-m", "services.matcha.variants", "artifacts"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert told == [
        "fp32",
        "bf16",
        "int8",
        "onnx-fp32=artifacts/onnx-fp32",
        "onnx-int8=artifacts/onnx-int8",
        "openvino=artifacts/onnx-fp32",
        "openvino-int8=artifacts/openvino-int8",
    ]
