import hashlib
from pathlib import Path
from typing import Final

import pytest

from services.common.artifact.inspect import inspect
from services.common.artifact.manifest import Manifest, Source
from services.common.artifact.writer import seal

MIB = 1 << 20


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


def told(facts: str) -> dict[str, str]:
    lines = [line.split(":", 1) for line in facts.replace(",\n" + " " * 16, ", ").splitlines()]
    return {name: value.strip() for name, value in lines}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "weights").write_bytes(b"w" * (5 * MIB // 2))
    (tmp_path / "config.json").write_bytes(b"c" * (MIB // 4))
    manifest = Manifest(
        architecture="Pix2StructForConditionalGeneration",
        variant="int8",
        source=Source(id="some/model", revision="r7"),
        header_font="Arial.TTF",
        max_patches=1024,
        processor=Source(id="other/model", revision="r8"),
        tools={"torch": "2.13", "pillow": "13.0"},
        sha256={},
    )
    seal(tmp_path, manifest)
    return tmp_path


def test_a_folder_tells_what_it_is_and_that_it_is_whole(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inspect([str(folder)])
    facts, files, whole = capsys.readouterr().out.split("\n\n")
    assert told(facts) == {
        "architecture": "Pix2StructForConditionalGeneration",
        "variant": "int8",
        "source": "some/model @ r7",
        "tokenizer from": "other/model @ r8",
        "header font": "Arial.TTF",
        "max_patches": "1024",
        "made with": "pillow 13.0, torch 2.13",
    }
    config, weights, total = (line.split() for line in files.splitlines())
    assert config == [digest(b"c" * (MIB // 4)), "0.25", "MiB", "config.json"]
    assert weights == [digest(b"w" * (5 * MIB // 2)), "2.50", "MiB", "weights"]
    assert total == ["2.75", "MiB", "total"]
    assert whole == "all 2 files match manifest.json\n"


def test_what_a_folder_does_not_name_has_its_default(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = Manifest(
        architecture="Pix2StructForConditionalGeneration",
        variant="nf4",
        source=Source(id="a", revision="b"),
        tools={},
        sha256={},
    )
    seal(folder, bare)
    inspect([str(folder)])
    facts = told(capsys.readouterr().out.split("\n\n")[0])
    assert (facts["tokenizer from"], facts["header font"], facts["max_patches"]) == (
        "source",
        "Pillow's default",
        "not set",
    )


@pytest.mark.parametrize(("file", "told_as"), [("chat_template.json", "chat_template.json"), (None, "not recorded")])
def test_a_folder_for_chat_names_its_template_and_no_header(
    file: str | None, told_as: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = Source(id="a", revision="b")
    architecture: Final = "Qwen2VLForConditionalGeneration"
    seal(
        folder,
        Manifest(architecture=architecture, variant="bf16", source=source, chat_template=file, tools={}, sha256={}),
    )
    inspect([str(folder)])
    facts = told(capsys.readouterr().out.split("\n\n")[0])
    assert facts["chat template"] == told_as
    assert not {"header font", "max_patches"} & set(facts)


@pytest.mark.parametrize("damage", ["missing", "altered"])
def test_a_folder_that_is_not_whole_ends_with_1_after_its_facts(
    folder: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    if damage == "missing":
        (folder / "weights").unlink()
    else:
        (folder / "weights").write_bytes(b"v" * (5 * MIB // 2))
    with pytest.raises(SystemExit) as ended:
        inspect([str(folder)])
    assert str(ended.value.code).startswith("verification FAILED: ")
    assert "weights" in str(ended.value.code)
    said = capsys.readouterr().out
    assert said.splitlines()[-1].split()[0] == ("0.25" if damage == "missing" else "2.75")
    assert "files match" not in said


def test_a_folder_without_manifest_ends_with_1(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"verification FAILED: .* has no manifest\.json"):
        inspect([str(tmp_path)])
