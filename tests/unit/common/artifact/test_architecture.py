"""What a service serves, and what it says of other models."""

import json
from pathlib import Path

import pytest

from services.common.artifact.architecture import read_config, require_architecture, unverified
from services.common.artifact.manifest import PIX2STRUCT, QWEN2_VL, Architecture, ManifestError, Source

INSTEAD: dict[Architecture, str] = {
    PIX2STRUCT: "name a pix2struct one, such as google/matcha-chartqa",
    QWEN2_VL: "name a qwen2_vl one, such as Qwen/Qwen2-VL-2B-Instruct",
}
OTHERS = ["qwen2_5_vl", "qwen3_vl", "llava", "vision-encoder-decoder", "donut-swin", "t5", "pix2struct_text_model"]


@pytest.mark.parametrize(("kind", "architecture"), [("pix2struct", PIX2STRUCT), ("qwen2_vl", QWEN2_VL)])
def test_each_service_has_its_own(kind: str, architecture: Architecture) -> None:
    require_architecture({"model_type": kind}, "a/b", architecture)


@pytest.mark.parametrize("architecture", INSTEAD)
@pytest.mark.parametrize("kind", OTHERS)
def test_others_are_refused_by_name(kind: str, architecture: Architecture) -> None:
    with pytest.raises(ManifestError) as refused:
        require_architecture({"model_type": kind}, "a/b", architecture)
    assert str(refused.value) == f"a/b is a {kind} model: {INSTEAD[architecture]}"


@pytest.mark.parametrize(
    ("kind", "architecture", "service"), [("pix2struct", QWEN2_VL, "matcha"), ("qwen2_vl", PIX2STRUCT, "qwen_vl")]
)
def test_the_other_service_is_named_where_it_serves_the_model(
    kind: str, architecture: Architecture, service: str
) -> None:
    with pytest.raises(ManifestError, match=f"; python -m services.{service} serves this one$"):
        require_architecture({"model_type": kind}, "a/b", architecture)


def test_a_model_of_no_kind_is_said_to_be_one() -> None:
    with pytest.raises(ManifestError, match=r"^a/b has no model_type in its config\.json: name a qwen2_vl one"):
        require_architecture({}, "a/b", QWEN2_VL)


def test_a_configuration_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"has no config\.json: name a model folder"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ManifestError, match=r"config\.json is not JSON \(.*\): download or save"):
        read_config(tmp_path)


def test_a_folder_without_a_manifest_is_named_by_itself_and_held_to_its_architecture(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen2_vl"}))
    manifest = unverified(folder, QWEN2_VL, "bf16")
    assert (manifest.source, manifest.variant) == (Source(id="mine", revision="unverified"), "bf16")
    with pytest.raises(ManifestError, match="mine is a qwen2_vl model: name a pix2struct one"):
        unverified(folder, PIX2STRUCT, "fp32")
