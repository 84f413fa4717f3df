"""Names that others read: Optimum's names of graphs and tensors, and folders written by Optimum's command."""

import json
from pathlib import Path

import pytest

from services.common.artifact.manifest import MANIFEST_NAME, ManifestError, Source
from services.matcha.backends import onnx_names
from services.matcha.plain_folder import unverified_manifest

CONFIG = json.dumps({"model_type": "pix2struct"})
EXPORTED = ["config.json", "decoder_model.onnx", "decoder_with_past_model.onnx", "encoder_model.onnx", "tokenizer.json"]


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    folder = tmp_path / "my-matcha"
    folder.mkdir()
    for name in EXPORTED:
        (folder / name).touch()
    (folder / "config.json").write_text(CONFIG)
    return folder


def test_graphs_lie_in_the_files_that_optimum_names() -> None:
    names = (onnx_names.ENCODER, onnx_names.DECODER, onnx_names.DECODER_WITH_PAST)
    assert names == ("encoder_model.onnx", "decoder_model.onnx", "decoder_with_past_model.onnx")


def test_keys_and_values_are_ordered_by_layer_then_attention_then_kind() -> None:
    assert onnx_names.past_names("present", 2, "decoder", "encoder") == [
        "present.0.decoder.key",
        "present.0.decoder.value",
        "present.0.encoder.key",
        "present.0.encoder.value",
        "present.1.decoder.key",
        "present.1.decoder.value",
        "present.1.encoder.key",
        "present.1.encoder.value",
    ]
    assert onnx_names.past_names("past_key_values", 1, "encoder") == [
        "past_key_values.0.encoder.key",
        "past_key_values.0.encoder.value",
    ]


def test_pieces_of_an_encoder_sort_by_their_number(tmp_path: Path) -> None:
    for index in (10, 2, 0, 11, 9):
        (tmp_path / onnx_names.encoder_piece(index)).touch()
    found = sorted(path.name for path in tmp_path.glob(onnx_names.ENCODER_PIECES))
    assert found == [f"encoder_piece_{index}.onnx" for index in ("00", "02", "09", "10", "11")]


def test_a_folder_of_optimums_is_known_by_its_files(exported: Path) -> None:
    manifest = unverified_manifest(exported)
    assert manifest is not None
    assert manifest.variant == "onnx-fp32"


@pytest.mark.parametrize("name", EXPORTED)
def test_a_folder_without_one_of_them_is_not(name: str, exported: Path) -> None:
    (exported / name).unlink()
    assert unverified_manifest(exported) is None
    (exported / name).mkdir()
    assert unverified_manifest(exported) is None


def test_a_folder_with_a_manifest_is_held_to_it(exported: Path) -> None:
    (exported / MANIFEST_NAME).write_text("{}")
    assert unverified_manifest(exported) is None


@pytest.mark.parametrize(("settings", "patches"), [(None, None), ({}, None), ({"max_patches": 777}, 777)])
def test_what_is_said_of_it_is_what_its_files_say(
    settings: dict[str, int] | None, patches: int | None, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if settings is not None:
        (exported / "preprocessor_config.json").write_text(json.dumps(settings))
    monkeypatch.chdir(exported)
    manifest = unverified_manifest(Path())  # a folder given as "." still has a name
    assert manifest is not None
    assert manifest.architecture == "Pix2StructForConditionalGeneration"
    assert manifest.variant == "onnx-fp32"
    assert manifest.source == Source(id="my-matcha", revision="unverified")
    assert (manifest.max_patches, manifest.header_font, manifest.sha256) == (patches, None, {})


def test_a_checkpoint_as_on_the_hub_is_served_in_torch(tmp_path: Path) -> None:
    for name in ("tokenizer.json", "model.safetensors"):
        (tmp_path / name).touch()
    (tmp_path / "config.json").write_text(CONFIG)
    manifest = unverified_manifest(tmp_path)
    assert manifest is not None
    assert manifest.variant == "fp32"


@pytest.mark.parametrize(
    ("file", "settings", "reason"),
    [
        (
            "config.json",
            {"model_type": "vision-encoder-decoder"},
            "my-matcha is a vision-encoder-decoder model",
        ),
        ("preprocessor_config.json", {"is_vqa": False}, "my-matcha takes no questions: its image processor has"),
        ("processor_config.json", {"image_processor": {"is_vqa": False}}, "my-matcha takes no questions"),
    ],
)
def test_what_the_service_cannot_answer_with_is_refused(
    file: str, settings: dict[str, object], reason: str, exported: Path
) -> None:
    (exported / file).write_text(json.dumps(settings))
    with pytest.raises(ManifestError, match=reason):
        unverified_manifest(exported)
