"""A folder counts as already prepared only if it is exactly what would be built."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from services.common.artifact.manifest import ManifestError, Source, read_manifest, verify, write_manifest
from services.common.artifact.source import find
from services.common.artifact.writer import seal
from services.matcha.prepare import build as building
from services.matcha.prepare.build import WANTED
from tests.unit.matcha.making import ARCHITECTURE, MODEL, MONO, SANS, Weights, made, names, prepare

pytestmark = pytest.mark.usefixtures("weights")

Change = Callable[[Path], list[str]]


def _retrained(path: Path) -> list[str]:
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    return []


def _configured(path: Path, **values: object) -> list[str]:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    return []


OTHERS: dict[str, Change] = {
    "weights of the same name": lambda folder: _retrained(folder / "model.safetensors"),
    "another configuration": lambda folder: _configured(folder / "config.json", decoder_start_token_id=3),
    "another end": lambda folder: _configured(folder / "generation_config.json", eos_token_id=3),
    "another max_patches": lambda folder: _configured(folder / "preprocessor_config.json", max_patches=91),
    "another tokenizer": lambda folder: _configured(folder / "tokenizer.json", version="1.1"),
    "another font": lambda _: ["--font", str(MONO)],
    "no font": lambda _: [],
}


class TestReady:
    @pytest.mark.parametrize("kind", OTHERS)
    def test_a_folder_made_of_anything_else_never_counts(
        self, kind: str, plain: Path, tmp_path: Path, weights: Weights
    ) -> None:
        font = ["--font", str(SANS)]
        prepare(plain, tmp_path / "out", *font)
        prepare(plain, tmp_path / "out", *font)
        assert len(weights.asked) == 1  # the same again is ready
        options = OTHERS[kind](plain) or ([] if kind == "no font" else font)
        with pytest.raises(SystemExit, match="name another folder, or pass --force"):
            prepare(plain, tmp_path / "out", *options)
        assert len(weights.asked) == 1
        prepare(plain, tmp_path / "out", *options, "--force")
        prepare(plain, tmp_path / "out", *options)
        assert len(weights.asked) == 2

    def test_another_model_revision_or_variant_never_counts(self, plain: Path, tmp_path: Path) -> None:
        made(plain, tmp_path / "out", "bf16")
        manifest = read_manifest(tmp_path / "out")
        for held in (
            manifest.model_copy(update={"source": Source(id="other", revision=manifest.source.revision)}),
            manifest.model_copy(update={"source": Source(id=manifest.source.id, revision="v2")}),
            manifest.model_copy(update={"variant": "fp32"}),
        ):
            write_manifest(tmp_path / "out", held)
            told = f"out contains {held.source.id} @ {held.source.revision} as {held.variant}: name another folder"
            with pytest.raises(SystemExit, match=told):
                prepare(plain, tmp_path / "out", variant="bf16")
        write_manifest(tmp_path / "out", manifest)
        prepare(plain, tmp_path / "out", variant="bf16")

    def test_a_model_of_ours_that_was_made_anew_never_counts(self, tmp_path: Path) -> None:
        """Retrained with the same seed, it has the same name."""
        model = shutil.copytree(MODEL, tmp_path / "model")
        prepare(model, tmp_path / "out")
        prepare(model, tmp_path / "out")
        (model / "README.md").write_text("trained anew")
        seal(model, read_manifest(model))
        with pytest.raises(SystemExit, match="name another folder, or pass --force"):
            prepare(model, tmp_path / "out")

    def test_a_model_of_ours_that_was_altered_is_not_prepared(self, tmp_path: Path) -> None:
        model = shutil.copytree(MODEL, tmp_path / "model")
        (model / "model.safetensors").write_bytes(b"other weights")
        with pytest.raises(SystemExit, match=r"model\.safetensors does not match its checksum in the manifest"):
            prepare(model, tmp_path / "out")

    def test_anothers_tokenizer_counts_where_it_is_taken(self, plain: Path, tmp_path: Path) -> None:
        other = shutil.copytree(plain, tmp_path / "other")
        prepare(plain, tmp_path / "own", "--processor", str(other))
        (plain / "tokenizer.json").unlink()
        prepare(plain, tmp_path / "out", "--processor", str(other))
        prepare(plain, tmp_path / "out", "--processor", str(other))
        for options in (["--processor", str(MODEL)], []):
            with pytest.raises(SystemExit, match="name another folder, or pass --force"):
                prepare(plain, tmp_path / "out", *options)
        _configured(other / "tokenizer.json", version="1.1")
        with pytest.raises(SystemExit, match="name another folder, or pass --force"):
            prepare(plain, tmp_path / "out", "--processor", str(other))

    def test_anothers_tokenizer_counts_by_its_name_on_the_hub(
        self, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(building, "processor_files", lambda name, _: (MODEL, Source(id=name, revision="r")))
        (plain / "tokenizer.json").unlink()
        for _ in range(2):
            prepare(plain, tmp_path / "out", "--processor", "google/matcha-chartqa")
        with pytest.raises(SystemExit, match="name another folder, or pass --force"):
            prepare(plain, tmp_path / "out")

    def test_other_calibration_images_count_where_activations_are_measured(
        self, plain: Path, charts: Path, tmp_path: Path
    ) -> None:
        def again(variant: str) -> None:
            prepare(plain, tmp_path / variant, "--calibration", str(charts), variant=variant)

        for _ in range(2):
            again("openvino-int8")
            again("onnx-int8")
        Image.new("RGB", (60, 40), "blue").save(charts / "1.png")
        again("onnx-int8")
        with pytest.raises(SystemExit, match="calibration images: name another folder, or pass --force"):
            again("openvino-int8")

    def test_a_folder_that_tells_no_inputs_is_held_to_the_rest(self, plain: Path, tmp_path: Path) -> None:
        made(plain, tmp_path / "out")
        write_manifest(tmp_path / "out", read_manifest(tmp_path / "out").model_copy(update={"inputs": None}))
        prepare(plain, tmp_path / "out", "--font", str(MONO))
        assert read_manifest(tmp_path / "out").header_font is None

    @pytest.mark.parametrize("spoil", ["altered", "another's"])
    def test_what_is_no_whole_artifact_is_neither_ready_nor_overwritten(
        self, spoil: str, plain: Path, tmp_path: Path, weights: Weights
    ) -> None:
        out = tmp_path / "out"
        made(plain, out)
        (out / ("model.safetensors" if spoil == "altered" else "thesis.txt")).write_text("years of work")
        if spoil == "another's":
            (out / "manifest.json").unlink()
        before = names(out)
        with pytest.raises(SystemExit, match=r"is not an artifact of this model .*pass --force"):
            prepare(plain, out)
        assert names(out) == before
        assert len(weights.asked) == 1

    def test_an_empty_folder_is_as_good_as_none(self, plain: Path, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        prepare(plain, tmp_path / "out")
        verify(tmp_path / "out", ARCHITECTURE)

    def test_what_was_prepared_in_another_form_is_no_source(self, plain: Path, tmp_path: Path) -> None:
        made(plain, tmp_path / "bf16", "bf16")
        shutil.copy(MODEL / "config.json", tmp_path / "bf16")
        seal(tmp_path / "bf16", read_manifest(tmp_path / "bf16"))
        with pytest.raises(SystemExit, match="prepared as bf16: prepare from the original weights"):
            prepare(tmp_path / "bf16", tmp_path / "out")


def test_a_manifest_error_is_one_sentence(plain: Path, tmp_path: Path) -> None:
    (plain / "manifest.json").write_text("{}")
    with pytest.raises(ManifestError):
        find(str(plain), None, WANTED)
    with pytest.raises(SystemExit, match=r"cannot prepare: .*is not a manifest this version can read"):
        prepare(plain, tmp_path / "out")
