import json
from pathlib import Path

import pytest

from services.common.manifest import Architecture, Manifest, ManifestError, Source, sums_of, verify, write_manifest

PIX2STRUCT: Architecture = "Pix2StructForConditionalGeneration"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    sums = sums_of(tmp_path, ["config.json", "model.safetensors"])
    source = Source(id="someone/some-model", revision="1")
    write_manifest(
        tmp_path, Manifest(architecture=PIX2STRUCT, variant="fp32", source=source, tools={"torch": "2"}, sha256=sums)
    )
    return tmp_path


def test_a_whole_folder_is_accepted(folder: Path) -> None:
    assert verify(folder, PIX2STRUCT).source.id == "someone/some-model"
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "manifest.json", "model.safetensors"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"nowhere is no folder"):
        verify(tmp_path / "nowhere", PIX2STRUCT)


def test_a_folder_without_manifest_is_refused(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    with pytest.raises(ManifestError, match=r"has no manifest\.json"):
        verify(folder, PIX2STRUCT)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(ManifestError, match=r"lacks model\.safetensors"):
        verify(folder, PIX2STRUCT)


def test_a_file_copied_in_part_is_named(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"weig")
    with pytest.raises(ManifestError, match=r"model\.safetensors differs"):
        verify(folder, PIX2STRUCT)


def test_another_architecture_is_refused(folder: Path) -> None:
    with pytest.raises(ManifestError, match="holds a Pix2Struct"):
        verify(folder, "Qwen2VLForConditionalGeneration")


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"format": 2})])
def test_a_broken_manifest_is_refused(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(ManifestError, match="is not a manifest"):
        verify(folder, PIX2STRUCT)
