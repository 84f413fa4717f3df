"""A folder is written completely or not at all, and its manifest lists every file."""

import os
import stat
from pathlib import Path

import pytest

from services.common.artifact.manifest import Manifest, Source, read_manifest, sums_of, verify
from services.common.artifact.writer import seal, whole_folder

MANIFEST = Manifest(
    architecture="Pix2StructForConditionalGeneration",
    variant="fp32",
    source=Source(id="some/model", revision="7"),
    tools={"torch": "2"},
    sha256={"of an older one": "00"},
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_nothing_is_there_until_all_is_written(tmp_path: Path) -> None:
    out = tmp_path / "very" / "deep" / "folder"
    with whole_folder(out) as fresh:
        (fresh / "weights").write_bytes(b"new")
        assert not out.exists()
        assert fresh.parent.parent == out.parent, "on the same disk, or it could not be renamed"
    assert names(out) == ["weights"]
    assert names(out.parent) == ["folder"]


def test_an_old_folder_stays_until_the_new_one_is_whole_and_then_goes(tmp_path: Path) -> None:
    out = tmp_path / "folder"
    out.mkdir()
    (out / "old weights").write_bytes(b"old")
    with whole_folder(out) as fresh:
        (fresh / "weights").write_bytes(b"new")
        assert names(out) == ["old weights"]
    assert names(out) == ["weights"]
    assert names(tmp_path) == ["folder"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_after_a_failure_all_is_as_before(tmp_path: Path, failure: type[BaseException]) -> None:
    out = tmp_path / "folder"
    out.mkdir()
    (out / "old weights").write_bytes(b"old")

    def broken_off(folder: Path) -> None:
        with whole_folder(folder) as fresh:
            (fresh / "weights").write_bytes(b"half")
            raise failure

    with pytest.raises(failure):
        broken_off(out)
    assert names(out) == ["old weights"]
    assert names(tmp_path) == ["folder"]


def test_what_a_killed_run_left_goes_and_nothing_else(tmp_path: Path) -> None:
    left = tmp_path / ".folder.partial-abc" / "new"
    left.mkdir(parents=True)
    (left / "weights").write_bytes(b"half")
    others = [".folder2.partial-abc", ".other.partial-x", "folder.partial-abc"]
    for other in others:
        (tmp_path / other).mkdir()
    with whole_folder(tmp_path / "folder"):
        assert not left.exists()
    assert names(tmp_path) == sorted([*others, "folder"])


def test_another_user_may_read_what_was_made(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with whole_folder(tmp_path / "folder") as fresh:
            for name in ("config.json", "weights"):
                (fresh / name).write_bytes(name.encode())
                (fresh / name).chmod(0o600)
            seal(fresh, MANIFEST)
    finally:
        os.umask(before)
    folder = tmp_path / "folder"
    assert mode(folder) == 0o755
    assert {path.name: mode(path) for path in folder.iterdir()} == dict.fromkeys(names(folder), 0o644)


def test_the_manifest_names_every_file_but_itself(tmp_path: Path) -> None:
    for name in ("weights", "config.json", "manifest.json"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "cache").mkdir()
    seal(tmp_path, MANIFEST)
    sealed = verify(tmp_path, "Pix2StructForConditionalGeneration")
    assert sealed.sha256 == sums_of(tmp_path, ["config.json", "weights"])
    assert sealed == MANIFEST.model_copy(update={"sha256": sealed.sha256})
    seal(tmp_path, MANIFEST)
    assert read_manifest(tmp_path) == sealed
