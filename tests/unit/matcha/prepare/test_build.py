"""The contents of an artifact folder, whatever happens while it is built."""

import json
import logging
import shutil
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError

from services.common.artifact.manifest import ManifestError, PrepareError, Source, read_manifest, verify, write_manifest
from services.common.artifact.source import Checkpoint, find
from services.matcha.prepare import build as building
from services.matcha.prepare.build import WANTED, Extras, build, steps
from tests.unit.matcha.conftest import TOKENIZER
from tests.unit.matcha.making import ARCHITECTURE, MODEL, MONO, SANS, Weights, made, names, prepare, write_weights

pytestmark = pytest.mark.usefixtures("weights")


class TestManifest:
    def test_it_tells_source_variant_and_what_stood_in(self, plain: Path, tmp_path: Path) -> None:
        manifest = made(plain, tmp_path / "out", "bf16", font=MONO)
        assert manifest.source == find(str(plain), None, WANTED).source
        assert (manifest.variant, manifest.processor) == ("bf16", None)
        assert (manifest.header_font, manifest.max_patches) == ("DejaVuSansMono.ttf", 90)
        assert (tmp_path / "out/DejaVuSansMono.ttf").read_bytes() == MONO.read_bytes()
        assert names(tmp_path / "out") == sorted(
            ["DejaVuSansMono.ttf", "manifest.json", "model.safetensors", *TOKENIZER]
        )
        assert set(manifest.sha256) == set(names(tmp_path / "out")) - {"manifest.json"}
        assert {"torch", "transformers", "pillow", "tokenizers"} <= set(manifest.tools)

    def test_the_processor_is_anothers_only_where_the_model_has_none(self, plain: Path, tmp_path: Path) -> None:
        assert made(plain, tmp_path / "own", processor=str(MODEL)).processor is None
        (plain / "tokenizer.json").unlink()
        manifest = made(plain, tmp_path / "others", processor=str(MODEL))
        assert manifest.processor == Source(id="tallyglass/tiny-matcha", revision="seed-0")
        for name in TOKENIZER:
            assert (tmp_path / "others" / name).read_bytes() == (MODEL / name).read_bytes()

    def test_of_anothers_processor_only_what_the_model_lacks(self, plain: Path, tmp_path: Path) -> None:
        (plain / "tokenizer.json").unlink()
        (plain / "preprocessor_config.json").write_text('{"max_patches": 33}')
        assert made(plain, tmp_path / "out", processor=str(MODEL)).max_patches == 33
        assert (tmp_path / "out/preprocessor_config.json").read_text() == '{"max_patches": 33}'
        assert (tmp_path / "out/tokenizer.json").samefile(MODEL / "tokenizer.json")
        (plain / "preprocessor_config.json").unlink()
        (plain / "processor_config.json").write_text('{"image_processor": {"max_patches": 34}}')
        assert made(plain, tmp_path / "whole", processor=str(MODEL)).max_patches == 34

    @pytest.mark.parametrize("whole", [False, True], ids=["transformers 4", "transformers 5"])
    def test_a_model_that_takes_no_questions_is_refused(self, *, whole: bool, plain: Path, tmp_path: Path) -> None:
        """Such as those that caption: a question drawn above the image would be read as a part of it."""
        settings = {"is_vqa": False, "max_patches": 33}
        file = plain / ("processor_config.json" if whole else "preprocessor_config.json")
        (plain / "preprocessor_config.json").unlink()
        file.write_text(json.dumps({"image_processor": settings} if whole else settings))
        with pytest.raises(ManifestError, match=r"^plain takes no questions: .* such as google/matcha-chartqa"):
            made(plain, tmp_path / "out")
        assert names(tmp_path) == ["plain"]

    def test_tools_that_are_not_installed_had_no_part(
        self, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def version(name: str) -> str:
            if name == "nncf":
                raise PackageNotFoundError
            return f"{name}-1"

        monkeypatch.setattr("services.common.artifact.build.version", version)
        tools = made(plain, tmp_path / "out").tools
        assert tools["onnx"] == "onnx-1"
        assert "nncf" not in tools

    @pytest.mark.parametrize(
        ("said", "patches"), [({"max_patches": 33}, 33), ({}, None), (None, None)], ids=["said", "not said", "no file"]
    )
    def test_patches_are_the_processors(
        self, said: dict[str, int] | None, patches: int | None, plain: Path, tmp_path: Path
    ) -> None:
        (plain / "preprocessor_config.json").unlink()
        if said is not None:
            (plain / "preprocessor_config.json").write_text(json.dumps(said))
        assert made(plain, tmp_path / "out").max_patches == patches

    def test_a_folder_of_ours_keeps_its_patches_and_font(self, plain: Path, tmp_path: Path) -> None:
        made(plain, tmp_path / "one", font=MONO)
        write_manifest(tmp_path / "one", read_manifest(tmp_path / "one").model_copy(update={"max_patches": 44}))
        shutil.copy(MODEL / "config.json", tmp_path / "one")
        manifest = made(tmp_path / "one", tmp_path / "two", "bf16")
        assert (manifest.max_patches, manifest.header_font) == (44, "DejaVuSansMono.ttf")
        assert made(tmp_path / "one", tmp_path / "three", "bf16", font=SANS).header_font == "DejaVuSans.ttf"
        assert manifest.source == find(str(plain), None, WANTED).source


class TestFont:
    def test_that_of_training_then_liberation_then_pillows(
        self, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def font(name: str, **extras: Any) -> tuple[str | None, bool]:
            manifest = made(plain, tmp_path / name, **extras)
            return manifest.header_font, manifest.stand_in_font

        assert font("none") == (None, True)
        monkeypatch.setattr(building, "_LIBERATION", SANS)
        assert font("stand-in") == ("DejaVuSans.ttf", True)
        monkeypatch.setattr(building, "training_font", lambda: MONO)
        assert font("training") == ("DejaVuSansMono.ttf", False)
        assert font("named", font=SANS) == ("DejaVuSans.ttf", False)

    def test_a_stand_in_stays_one_in_what_is_made_of_its_folder(self, plain: Path, tmp_path: Path) -> None:
        made(plain, tmp_path / "one")
        shutil.copy(MODEL / "config.json", tmp_path / "one")
        assert made(tmp_path / "one", tmp_path / "two", "bf16").stand_in_font

    def test_a_stand_in_is_warned_of(self, plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        prepare(plain, tmp_path / "out")
        assert "WARNING: the header is drawn in the default font of Pillow, not in" in capsys.readouterr().err
        prepare(plain, tmp_path / "other", "--font", str(SANS))
        assert "WARNING" not in capsys.readouterr().err

    def test_a_model_drawn_with_pillows_font_keeps_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(building, "training_font", lambda: MONO)
        assert made(MODEL, tmp_path / "out").header_font is None

    def test_what_is_no_font_is_refused_and_nothing_left(self, plain: Path, tmp_path: Path) -> None:
        with pytest.raises(PrepareError, match=r"config\.json is not a usable font .*--font"):
            made(plain, tmp_path / "out", font=plain / "config.json")
        assert names(tmp_path) == ["plain"]


class TestWeightsFiles:
    def test_what_stays_as_it_is_exists_once(self, plain: Path, tmp_path: Path, weights: Weights) -> None:
        (plain / "model.safetensors").unlink()
        for number in (1, 2):
            write_weights(plain / f"model-{number}.safetensors", "float32")
        (plain / "model.safetensors.index.json").write_text("{}")
        made(plain, tmp_path / "out", font=SANS)
        assert set(names(tmp_path / "out")) == {*names(plain), SANS.name, "manifest.json"}
        assert all((tmp_path / "out" / name).samefile(plain / name) for name in names(plain))
        assert weights.asked == []

    def test_what_changes_does_not(self, plain: Path, tmp_path: Path, weights: Weights) -> None:
        write_weights(plain / "model.safetensors", "float32")
        made(plain, tmp_path / "out", "bf16")
        assert [form for _, form, _ in weights.asked] == ["bf16"]
        shared = [name for name in names(tmp_path / "out") if (tmp_path / "out" / name).stat().st_nlink > 1]
        assert shared == sorted(TOKENIZER)

    def test_a_damaged_file_is_named(self, plain: Path, tmp_path: Path) -> None:
        (plain / "model.safetensors").write_bytes(b"half")
        with pytest.raises(PrepareError, match=r"model\.safetensors is incomplete or no .* download it again"):
            made(plain, tmp_path / "out")

    @pytest.mark.parametrize("variant", ["fp32", "bf16", "int8", "onnx-fp32", "onnx-int8"])
    def test_safetensors_are_read_in_the_form_asked_for(
        self, variant: str, plain: Path, tmp_path: Path, weights: Weights
    ) -> None:
        made(plain, tmp_path / "out", variant)
        form = "fp32" if variant.startswith("onnx") else variant
        assert weights.asked == [(plain, form, {"use_safetensors": True})]

    @pytest.mark.parametrize("variant", ["fp32", "onnx-fp32"])
    def test_a_pickle_is_read_as_weights_alone(
        self, variant: str, plain: Path, tmp_path: Path, weights: Weights
    ) -> None:
        (plain / "model.safetensors").rename(plain / "pytorch_model.bin")
        made(plain, tmp_path / "out", variant)
        assert weights.asked == [(plain, "fp32", {"use_safetensors": False, "weights_only": True})]

    @pytest.mark.parametrize(("variant", "form"), [("onnx-fp32", "fp32"), ("onnx-int8", "int8")])
    def test_graphs_are_in_the_form_asked_for_with_the_configurations(
        self, variant: str, form: str, plain: Path, tmp_path: Path, weights: Weights
    ) -> None:
        made(plain, tmp_path / "out", variant)
        assert [(tmp_path / "out" / name).read_text() for name in ("a.onnx", "b.onnx")] == [form, form]
        assert ("model.onnx.data" in names(tmp_path / "out")) == (form == "fp32")
        assert weights.saved is not None  # configurations
        assert names(tmp_path) == ["out", "plain"]

    def test_openvino_int8_measures_on_the_images_named(
        self, plain: Path, charts: Path, tmp_path: Path, weights: Weights
    ) -> None:
        made(plain, tmp_path / "out", "openvino-int8", calibration=charts)
        assert weights.calibrated == 3
        made(plain, tmp_path / "other", "onnx-int8", calibration=charts)
        assert weights.calibrated == 0

    @pytest.mark.parametrize("variant", ["fp32", "bf16", "int8", "onnx-fp32", "onnx-int8", "openvino-int8"])
    def test_as_many_steps_are_reported_as_announced(
        self, variant: str, plain: Path, charts: Path, tmp_path: Path
    ) -> None:
        told: list[str] = []
        build(find(str(plain), None, WANTED), variant, tmp_path / "out", Extras(calibration=charts), told.append)
        assert len(told) == len(set(told)) == steps(variant)
        assert (told[0], told[-1]) == ("tokenizer and header font", "manifest")

    def test_what_libraries_log_meanwhile_is_not_seen(
        self, plain: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        made(plain, tmp_path / "out", "onnx-int8")
        assert caplog.messages == []
        logging.getLogger("torch.onnx").warning("afterwards it is")
        assert caplog.messages == ["afterwards it is"]


class TestWholeOrNotAtAll:
    @pytest.mark.parametrize("error", [RuntimeError("in the middle"), OSError("of another kind"), KeyboardInterrupt()])
    @pytest.mark.parametrize("variant", ["fp32", "onnx-int8"])
    def test_what_fails_in_the_middle_leaves_the_old_folder_and_nothing_else(
        self, error: Exception, variant: str, plain: Path, tmp_path: Path, weights: Weights
    ) -> None:
        before = made(plain, tmp_path / "out")
        weights.fails = error
        with pytest.raises(type(error)):
            made(plain, tmp_path / "out", variant, font=MONO)
        assert verify(tmp_path / "out", ARCHITECTURE) == before
        assert names(tmp_path) == ["out", "plain"]

    @pytest.mark.parametrize("kind", [OSError, SafetensorError])
    def test_a_full_disk_is_reported(
        self, kind: type[Exception], plain: Path, tmp_path: Path, weights: Weights
    ) -> None:
        weights.fails = kind("No space left on device (os error 28)")
        with pytest.raises(PrepareError, match=r"the disk of .* is full.*nothing was left behind"):
            made(plain, tmp_path / "out")
        assert names(tmp_path) == ["plain"]

    @pytest.mark.parametrize(
        ("variant", "needed"),
        [
            ("fp32", 1100),
            ("bf16", 600),
            ("int8", 700),
            ("onnx-fp32", 1200),
            ("onnx-int8", 2000),
            ("openvino-int8", 2000),
        ],
    )
    def test_room_is_enough_at_the_byte(
        self, variant: str, needed: int, plain: Path, charts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Checkpoint, "weights_bytes", 1000)
        asked = []

        def usage(path: Path) -> Any:
            asked.append(path)
            return shutil._ntuple_diskusage(10**9, 0, free)  # noqa: SLF001 the standard library has no public name for it

        monkeypatch.setattr(shutil, "disk_usage", usage)
        free = needed - 1
        with pytest.raises(PrepareError, match="GB free"):
            made(plain, tmp_path / "not/yet/out", variant, calibration=charts)
        assert names(tmp_path) == ["charts", "plain"]
        free = needed
        made(plain, tmp_path / "not/yet/out", variant, calibration=charts)
        assert set(asked) == {tmp_path}  # the existing folder
