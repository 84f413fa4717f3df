"""From a hub id to an artifact, through a small hub on loopback and ``huggingface_hub`` itself."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from services.common.artifact.manifest import QWEN2_VL, verify
from tests.hub.layouts import LAYOUTS, write
from tests.hub.server import PIECE, Hub, serving

pytestmark = pytest.mark.slow

MODEL: Final = "Qwen/Qwen2-VL-2B-Instruct"
RELEASED: Final = LAYOUTS[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    write(RELEASED, folder)
    return folder


@pytest.fixture
def hub(folder: Path) -> Hub:
    return Hub({MODEL: folder})


class Prepare:
    """The command, with a hub and a cache of its own."""

    def __init__(self, endpoint: str, home: Path) -> None:
        self.home = home
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")} | {
            "HF_ENDPOINT": endpoint,
            "HF_HOME": str(home / "hub"),
            "HF_HUB_DISABLE_XET": "1",
            "TALLYGLASS_HOME": str(home / "artifacts"),
            "NO_PROXY": "*",
        }

    @staticmethod
    def command(model: str, *options: str) -> list[str]:
        return [sys.executable, "-m", "services.qwen_vl", "prepare", model, *options]

    def run(self, model: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = self.command(model, *options)
        ended = subprocess.run(
            command, env=self.environment | environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert "Traceback" not in ended.stderr
        assert "unauthenticated" not in ended.stderr  # the hub has its client say so
        return ended

    def refusal(self, model: str, *options: str, **environment: str) -> str:
        ended = self.run(model, *options, **environment)
        assert ended.returncode == 1
        assert not list(self.home.glob("artifacts/*/*"))
        return ended.stderr.strip().splitlines()[-1]


@pytest.fixture
def prepare(hub: Hub, tmp_path: Path) -> Iterator[Prepare]:
    with serving(hub) as endpoint:
        yield Prepare(endpoint, tmp_path)


def test_a_hub_id_becomes_an_artifact_whose_weights_are_the_caches_own(prepare: Prepare, hub: Hub) -> None:
    ended = prepare.run(MODEL, "--variant", "bf16")
    assert ended.returncode == 0, ended.stderr
    out = prepare.home / "artifacts/Qwen--Qwen2-VL-2B-Instruct/bf16"
    manifest = verify(out, "Qwen2VLForConditionalGeneration")
    (snapshot,) = prepare.home.glob("hub/hub/models--*/snapshots/*")
    assert (manifest.source.id, manifest.source.revision) == (MODEL, snapshot.name)
    own = [path for path in out.iterdir() if path.stat().st_nlink == 1]
    assert [path.name for path in own] == ["manifest.json"]
    for path in out.glob("*.safetensors"):
        assert path.samefile(snapshot / path.name)
    before = len(hub.requests)
    again = prepare.run(MODEL, "--variant", "bf16", HF_HUB_OFFLINE="1")
    assert again.returncode == 0
    assert "is already prepared: nothing to do" in again.stderr
    assert len(hub.requests) == before


@pytest.mark.parametrize(
    ("model", "options", "environment", "reason"),
    [
        ("no/model", (), {}, "model no/model does not exist on the hub, or is private: log in (`hf auth login`) or"),
        (MODEL, ("--revision", "v9"), {}, f"{MODEL} has no revision v9: see its branches and commits on the hub"),
        (MODEL, (), {"HF_HUB_OFFLINE": "1"}, f"{MODEL} is not in the hub's cache and the hub cannot be reached"),
        (MODEL, (), {"HF_ENDPOINT": "hub.test"}, "HF_ENDPOINT is 'hub.test': set it to a hub's address, which starts"),
        (MODEL, (), {"HF_ENDPOINT": ""}, "HF_ENDPOINT is ''"),
        (MODEL, (), {"HF_ENDPOINT": "http://127.0.0.1:9"}, f"{MODEL} is not in the hub's cache and the hub cannot be"),
    ],
    ids=["no model", "no revision", "offline", "no address", "empty address", "no hub"],
)
def test_what_the_hub_does_not_give_is_a_sentence(
    model: str, options: tuple[str, ...], environment: dict[str, str], reason: str, prepare: Prepare
) -> None:
    assert prepare.refusal(model, *options, **environment).startswith(f"cannot prepare: {reason}")


def test_a_gated_model_needs_a_token(prepare: Prepare, hub: Hub) -> None:
    hub.gated.add(MODEL)
    hub.token = "hf_right"  # noqa: S105 of the tests' own hub
    reason = f"cannot prepare: {MODEL} is gated: accept its terms on the hub, then log in (`hf auth login`) or set HF"
    assert prepare.refusal(MODEL).startswith(reason)
    assert prepare.run(MODEL, HF_TOKEN="hf_right").returncode == 0  # noqa: S106 as above


def test_a_download_that_differs_from_its_checksum_is_refused_and_made_anew(
    prepare: Prepare, hub: Hub, folder: Path
) -> None:
    name = "model-00001-of-00002.safetensors"
    hub.wrong[name] = bytes((folder / name).stat().st_size)
    assert prepare.refusal(MODEL) == (
        f"cannot prepare: {name} differs from its checksum on the hub: run the same command again to download it anew"
    )
    hub.wrong.clear()
    assert prepare.run(MODEL).returncode == 0


def test_a_killed_download_leaves_nothing_half_and_goes_on(prepare: Prepare, hub: Hub) -> None:
    name = "model-00001-of-00002.safetensors"
    hub.stalls[name] = PIECE + 100_000  # the client writes whole pieces
    process = subprocess.Popen(prepare.command(MODEL, "--variant", "bf16"), env=prepare.environment)
    try:
        assert hub.stalled.wait(60)
        partial = await_partial(prepare.home, PIECE)
    finally:
        process.kill()
        process.wait()
        hub.resumed.set()
    assert not list(prepare.home.glob("artifacts/**/*"))
    an_hour_ago = time.time() - 3600
    os.utime(partial, (an_hour_ago, an_hour_ago))
    hub.requests.clear()
    assert prepare.run(MODEL, "--variant", "bf16").returncode == 0
    assert [one.path for one in hub.requests if one.method == "GET" and "/stored/" in one.path] == [
        f"/stored/{MODEL}/{partial.name.split('.')[0]}/{name}"
    ], "the files that were complete are kept"
    assert not list(prepare.home.glob("hub/**/*.incomplete"))
    (out,) = prepare.home.glob("artifacts/*/bf16")
    verify(out, QWEN2_VL)


def await_partial(home: Path, size: int) -> Path:
    """The part of the stalled file that the client has on the disk, once all other files are complete."""
    deadline_s = time.monotonic() + 30
    while time.monotonic() < deadline_s:
        parts = list(home.glob("hub/**/*.incomplete"))
        if len(parts) == 1 and parts[0].stat().st_size == size:
            return parts[0]
        time.sleep(0.05)
    pytest.fail(f"no single part of {size} bytes: {parts}")


def test_a_disk_that_fills_up_during_the_download_is_a_sentence(prepare: Prepare, tmp_path: Path) -> None:
    """A real full disk: a file system with less room than the weights take."""
    small = tmp_path / "hub"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(small)], check=False).returncode:
        pytest.skip("mounting needs root")
    try:
        reason = prepare.refusal(MODEL, "--variant", "bf16")
        subprocess.run(["mount", "-o", "remount,size=200m", str(small)], check=True)
        again = prepare.run(MODEL, "--variant", "bf16")
    finally:
        subprocess.run(["umount", str(small)], check=True)
    reason_wanted = f"the disk of {small}/hub is full: free some space and run the same command again"
    assert reason == f"cannot prepare: {reason_wanted}"
    assert again.returncode == 0, again.stderr
