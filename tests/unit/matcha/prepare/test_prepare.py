"""The commands ``prepare`` and ``inspect``: what they accept and refuse, and that nothing is left half-written."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
import torch
from pydantic_settings import CliApp
from safetensors.torch import load_file

from services.common.artifact.manifest import PrepareError, read_manifest, verify
from services.common.artifact.source import find
from services.matcha.prepare import build as building
from services.matcha.prepare.build import WANTED, Extras, build
from services.matcha.prepare.command import Prepare

MODEL = Path(__file__).parents[4] / "models/tiny-matcha"
ARCHITECTURE: Final = "Pix2StructForConditionalGeneration"
Artifact = Callable[[str], Path]

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub, asked for the header font, is not to be waited for."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # this process has read the variable already


def matcha(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "services.matcha", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def prepare(model: Path | str, out: Path, *options: str, variant: str = "fp32") -> subprocess.CompletedProcess[str]:
    return matcha("prepare", str(model), "--out", str(out), "--variant", variant, *options)


def prepare_here(model: Path | str, out: Path, *options: str, variant: str = "fp32") -> None:
    """The command in this process: one of its own would spend its seconds importing torch."""
    CliApp.run(Prepare, cli_args=[str(model), "--out", str(out), "--variant", variant, *options])


def refusal(model: Path | str, out: Path, *options: str, variant: str = "fp32") -> str:
    """Why the command refuses."""
    with pytest.raises(SystemExit) as ended:
        prepare_here(model, out, *options, variant=variant)
    assert isinstance(ended.value.code, str), "a sentence is printed, and the exit status is 1"
    return ended.value.code


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """The embedded model as published by others: no manifest, pickled weights, no tokenizer."""
    folder = tmp_path / "plain"
    folder.mkdir()
    for name in ("config.json", "generation_config.json"):
        shutil.copy(MODEL / name, folder)
    torch.save(load_file(MODEL / "model.safetensors"), folder / "pytorch_model.bin")
    return folder


def only(folder: Path, *names: str) -> bool:
    return {path.name for path in folder.iterdir()} == set(names)


def test_pickled_weights_become_safetensors_and_the_tokenizer_comes_from_elsewhere(plain: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare_here(plain, out, "--processor", str(MODEL))
    manifest = verify(out, ARCHITECTURE)
    assert manifest.processor == read_manifest(MODEL).source
    assert manifest.source.id == "plain"
    assert manifest.source.revision.startswith("sha256:")
    given, expected = load_file(out / "model.safetensors"), load_file(MODEL / "model.safetensors")
    assert given.keys() == expected.keys()
    assert all(torch.equal(given[name], expected[name]) for name in given)


def test_weights_that_would_run_code_are_refused(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (print, ("run",))

    torch.save({"weight": Payload()}, plain / "pytorch_model.bin")
    assert "pickled weights that would run code" in refusal(plain, tmp_path / "out", "--processor", str(MODEL))
    assert "run" not in capsys.readouterr().out.split()
    assert only(tmp_path, "plain")


def test_a_prepared_folder_is_left_alone_and_said_so(artifact: Artifact, capsys: pytest.CaptureFixture[str]) -> None:
    folder = artifact("fp32")
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    prepare_here(MODEL, folder)
    assert "nothing to do" in capsys.readouterr().err
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_folder_that_holds_something_else_is_not_overwritten(artifact: Artifact, tmp_path: Path) -> None:
    assert "--force" in refusal(MODEL, artifact("fp32"), variant="bf16")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    assert "--force" in refusal(MODEL, mine)
    assert only(mine, "thesis.txt")


def test_what_needs_no_torch_does_not_wait_for_it(tmp_path: Path) -> None:
    script = "import sys; from services.matcha.prepare.command import prepare; prepare(sys.argv[1:]); sys.exit({})"
    loaded = "'torch' in sys.modules or 'transformers' in sys.modules"
    arguments = [str(MODEL), "--variant", "fp32", "--out", str(tmp_path / "out")]
    for told in ("written: ", "nothing to do"):
        command = [sys.executable, "-c", script.format(loaded), *arguments]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert (ended.returncode, told in ended.stderr) == (0, True)


def test_force_replaces_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "stale").touch()
    prepare_here(MODEL, out, "--force")
    verify(out, ARCHITECTURE)
    assert not (out / "stale").exists()


@pytest.mark.parametrize(
    ("model", "options", "reason"),
    [
        ("nowhere/at/all", (), "neither a folder nor"),
        ("./missing", (), "neither a folder nor"),
        (str(MODEL), ("--revision", "main"), "omit --revision"),
        (str(MODEL.parent / "tiny-qwen2-vl"), (), "is a qwen2_vl model"),
        (str(MODEL), ("--font", "missing.ttf"), "there is no font"),
        (str(MODEL), ("--font", __file__), "is not a usable font"),
    ],
)
def test_what_cannot_be_prepared_is_refused_in_a_sentence(
    model: str, options: tuple[str, ...], reason: str, tmp_path: Path
) -> None:
    told = refusal(model, tmp_path / "out", *options)
    assert told.startswith("cannot prepare: ")
    assert reason in told
    assert only(tmp_path)


def test_calibration_wants_images(tmp_path: Path) -> None:
    """Reported before the long part, leaving nothing behind."""
    empty, broken, out = tmp_path / "empty", tmp_path / "broken", tmp_path / "out"
    empty.mkdir()
    broken.mkdir()
    (broken / "chart.png").write_bytes(b"no image")
    for options, reason in (
        ((), "name a folder of charts like yours"),
        (("--calibration", str(empty)), f"{empty} contains no PNG or JPEG"),
        (("--calibration", str(broken)), f"{broken / 'chart.png'} cannot be read as an image"),
    ):
        assert reason in refusal(MODEL, out, *options, variant="openvino-int8")
        assert only(tmp_path, "empty", "broken")


def test_without_nncf_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "find_spec", lambda _: None)
    with pytest.raises(PrepareError, match="install the extra matcha-prepare-openvino"):
        build(
            find(str(MODEL), None, WANTED),
            "openvino-int8",
            tmp_path / "out",
            Extras(calibration=tmp_path),
            lambda _: None,
        )
    assert only(tmp_path)


def test_a_hub_that_cannot_be_reached_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "empty"))
    ended = prepare("google/matcha-chartqa", tmp_path / "out")
    assert ended.returncode == 1
    assert "download it elsewhere and name its folder" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_artifact_is_not_prepared_again(artifact: Artifact, tmp_path: Path) -> None:
    assert "prepare from the original weights" in refusal(artifact("bf16"), tmp_path / "out")


def test_too_little_room_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 1000))  # noqa: SLF001 the standard library has no public name for it
    with pytest.raises(PrepareError, match="GB free"):
        build(find(str(MODEL), None, WANTED), "bf16", tmp_path / "out", Extras(), lambda _: None)
    assert only(tmp_path)


def test_a_disk_that_fills_up_leaves_nothing(tmp_path: Path) -> None:
    """A real full disk: a two-megabyte file system."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=9m", "tmpfs", str(small)], check=False)
    if mounted.returncode:
        pytest.skip("mounting needs root")
    try:
        filler = small / "filler"
        filler.write_bytes(bytes(3 << 20))
        checkpoint = find(str(MODEL), None, WANTED)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "services.common.artifact.build._require_room", lambda *_: None
            )  # found to be full only while writing
            with pytest.raises(PrepareError, match="is full"):
                build(checkpoint, "fp32", small / "out", Extras(), lambda _: None)
        assert only(small, "filler")
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_leaves_no_half_folder(number: signal.Signals, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "services.matcha", "prepare", str(MODEL), "--variant", "onnx-fp32"]
    process = subprocess.Popen([*command, "--out", str(out)], stderr=subprocess.PIPE, text=True)
    try:
        deadline_s = time.monotonic() + 60
        while not list(tmp_path.glob(".out.partial-*")):
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert not out.exists()
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "nothing was left behind" in told
        assert only(tmp_path)
    else:  # nothing could be cleaned up; the next run does it
        assert prepare(MODEL, out).returncode == 0
        assert only(tmp_path, "out")


class TestInspect:
    def test_it_prints_the_manifest_and_verifies(self, artifact: Artifact) -> None:
        ended = matcha("inspect", str(artifact("onnx-int8")))
        assert ended.returncode == 0
        for told in (
            "onnx-int8",
            "tallyglass/tiny-matcha @ seed-0",
            "encoder_model.onnx",
            "files match manifest.json",
        ):
            assert told in ended.stdout

    def test_an_altered_file_is_named(self, artifact: Artifact, tmp_path: Path) -> None:
        copy = tmp_path / "copy"
        shutil.copytree(artifact("fp32"), copy)
        config = json.loads((copy / "config.json").read_text())
        (copy / "config.json").write_text(json.dumps({**config, "is_vqa": False}))
        ended = matcha("inspect", str(copy))
        assert ended.returncode == 1
        assert "config.json" in ended.stderr

    def test_no_folder(self, tmp_path: Path) -> None:
        ended = matcha("inspect", str(tmp_path / "none"))
        assert ended.returncode == 1
        assert "is not a folder" in ended.stderr


def test_an_unknown_command_is_named() -> None:
    ended = matcha("prepair")
    assert ended.returncode != 0
    assert "prepare" in ended.stderr
