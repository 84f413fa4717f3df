import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from services.common.artifact.manifest import (
    Architecture,
    Manifest,
    ManifestError,
    Source,
    file_sha256,
    read_manifest,
    sums_of,
    verify,
    write_manifest,
)

PIX2STRUCT: Architecture = "Pix2StructForConditionalGeneration"
FILES = {"config.json": b"{}", "model.safetensors": b"weights", "tokenizer.json": b"tokens"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    sums = sums_of(tmp_path, list(FILES))
    source = Source(id="someone/some-model", revision="1")
    write_manifest(
        tmp_path, Manifest(architecture=PIX2STRUCT, variant="fp32", source=source, tools={"torch": "2"}, sha256=sums)
    )
    return tmp_path


def rewrite(folder: Path, **fields: Any) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_a_whole_folder_is_accepted(folder: Path) -> None:
    assert verify(folder, PIX2STRUCT).source.id == "someone/some-model"
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "manifest.json", *sorted(FILES)[1:]]


def test_a_manifest_comes_back_as_it_was_written(folder: Path) -> None:
    manifest = Manifest(
        architecture="Qwen2VLForConditionalGeneration",
        variant="nf4",
        source=Source(id="Größe/模型", revision="2"),
        header_font="Arial.TTF",
        max_patches=1024,
        processor=Source(id="another", revision="3"),
        tools={"torch": "2", "pillow": "13"},
        sha256={"b": "1", "a": "2"},
    )
    write_manifest(folder, manifest)
    assert read_manifest(folder) == manifest
    text = (folder / "manifest.json").read_text(encoding="utf-8")
    assert text.startswith('{\n  "format": 1,\n')
    assert text.endswith("}\n")


@pytest.mark.parametrize("size", [0, 1, 64, 1_000_003])
def test_a_sum_is_sha256_of_the_whole_file(tmp_path: Path, size: int) -> None:
    data = bytes(at % 251 for at in range(size))
    (tmp_path / "file").write_bytes(data)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(data).hexdigest()


def test_sums_are_of_the_files_named_in_order(folder: Path) -> None:
    sums = sums_of(folder, ["tokenizer.json", "config.json"])
    expected = {name: hashlib.sha256(FILES[name]).hexdigest() for name in ("config.json", "tokenizer.json")}
    assert list(sums.items()) == list(expected.items())


def test_a_manifest_is_written_in_one_step(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (folder / "manifest.json").read_bytes()

    def killed(path: Path, *_: Any, **__: Any) -> None:
        path.write_bytes(b'{"format"')
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", killed)
    with pytest.raises(KeyboardInterrupt):
        write_manifest(folder, read_manifest(folder).model_copy(update={"variant": "bf16"}))
    assert (folder / "manifest.json").read_bytes() == before


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for name in ("nowhere", "file"):
        with pytest.raises(ManifestError, match=rf"{name} is not a folder: .* its manifest\.json"):
            verify(tmp_path / name, PIX2STRUCT)


def test_a_folder_without_manifest_is_refused(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    with pytest.raises(ManifestError, match=r"has no manifest\.json"):
        verify(folder, PIX2STRUCT)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ManifestError, match=f"lacks {name}, which its manifest lists"):
        verify(folder, PIX2STRUCT)
    (folder / name).mkdir()
    with pytest.raises(ManifestError, match=f"lacks {name}, which its manifest lists"):
        verify(folder, PIX2STRUCT)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("change", ["cut", "turned round", "longer"])
def test_an_altered_file_is_named(folder: Path, name: str, change: str) -> None:
    data = FILES[name]
    (folder / name).write_bytes({"cut": data[:-1], "turned round": data[::-1], "longer": data + b" "}[change])
    with pytest.raises(ManifestError, match=f"{name} does not match its checksum"):
        verify(folder, PIX2STRUCT)


def test_a_file_that_the_manifest_does_not_name_is_let_be(folder: Path) -> None:
    (folder / "README.md").write_text("About this model.")
    assert sorted(verify(folder, PIX2STRUCT).sha256) == sorted(FILES)


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "sub/file", "..\\outside", "empty"])
@pytest.mark.parametrize("field", ["sha256", "header_font"])
def test_a_manifest_names_no_file_outside_its_folder(folder: Path, field: str, name: str) -> None:
    name = name.replace("empty", "")
    rewrite(
        folder, **{field: name if field == "header_font" else {name: sums_of(folder, ["config.json"])["config.json"]}}
    )
    with pytest.raises(ManifestError, match=f"is not a manifest this version can read \\({field}"):
        verify(folder, PIX2STRUCT)


def test_another_architecture_is_refused(folder: Path) -> None:
    with pytest.raises(ManifestError, match=r"is a Pix2Struct.* needs a Qwen2VL"):
        verify(folder, "Qwen2VLForConditionalGeneration")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "the file"),
        ("{", "the file"),
        ("[]", "the file"),
        (json.dumps({"format": 2}), "format"),
        ("{}", "architecture"),
    ],
)
def test_a_broken_manifest_is_refused(folder: Path, text: str, where: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(ManifestError, match=rf"manifest\.json is not a manifest this version can read \({where}: "):
        verify(folder, PIX2STRUCT)


@pytest.mark.parametrize(
    ("field", "value", "where"),
    [
        ("max_patches", 0, "max_patches"),
        ("author", "me", "author"),
        ("source", {"id": "a", "revision": "1", "path": "b"}, r"source\.path"),
    ],
)
def test_a_field_out_of_bounds_or_unknown_is_named(folder: Path, field: str, value: object, where: str) -> None:
    rewrite(folder, **{field: value})
    with pytest.raises(ManifestError, match=rf"\({where}: "):
        read_manifest(folder)
