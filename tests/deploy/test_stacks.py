"""Whole stacks, run for real: compose with the replay, and the ``dev`` overlay."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from clients.launcher import free_port
from services.common.settings import MODELS as EMBEDDED
from tests.deploy.containers import QWEN_VL, TORCH, Image, docker, running
from tests.deploy.manifests import Manifest, Manifests, containers
from tests.hub.layouts import LAYOUTS, write
from tests.hub.server import Hub, serving

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("engine")]

COMPOSE = ("compose", "--file=docker/compose.yaml", "--file=docker/compose.host.yaml", "--project-name=tallyglass-test")
MODELS = {"matcha": "google/matcha-chartqa", "qwen-vl": "Qwen/Qwen2-VL-2B-Instruct"}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A hub on the loopback with a small model under the name of each real one; its address is in ``HF_ENDPOINT``."""
    charts = shutil.copytree(EMBEDDED / "tiny-matcha", tmp_path / "m", ignore=shutil.ignore_patterns("manifest.json"))
    write(LAYOUTS[0], tmp_path / "q")
    with serving(Hub({MODELS["matcha"]: charts, MODELS["qwen-vl"]: tmp_path / "q"})) as endpoint:
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        monkeypatch.setenv("NO_PROXY", "*")
        yield endpoint


def test_compose_comes_up_healthy_and_the_replays_report_lands_on_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = {"MATCHA": free_port(), "QWEN_VL": free_port()}
    for name, port in ports.items():
        monkeypatch.setenv(f"{name}_PORT", str(port))
        monkeypatch.setenv(f"{name}_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("OUT", str(tmp_path))
    monkeypatch.setenv("LIMIT", "5")
    monkeypatch.setenv("REPLAY_USER", f"{os.getuid()}:{os.getgid()}")
    try:
        docker(*COMPOSE, "up", "--detach", "--wait")
        docker(*COMPOSE, "--profile=replay", "up", "--exit-code-from=report", "report")
    finally:
        docker(*COMPOSE, "--profile=replay", "down", "--timeout=60")
    assert (tmp_path / "report" / "index.html").stat().st_size > 10_000
    for run in ("matcha", "qwen-vl"):
        assert len((tmp_path / run / "outcomes.jsonl").read_text().splitlines()) == 5


def test_compose_without_the_override_is_valid_too() -> None:
    config = yaml.safe_load(docker("compose", "--file=docker/compose.yaml", "config").stdout)
    assert set(config["services"]) == {"matcha", "qwen-vl"}


@pytest.mark.usefixtures("hub")
def test_compose_serves_models_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is prepared in a container, into a volume that its service only reads."""
    ports = {"matcha": free_port(), "qwen-vl": free_port()}
    for name, port in ports.items():
        monkeypatch.setenv(f"{name.upper().replace('-', '_')}_PORT", str(port))
    with_models = (*COMPOSE[:2], *(f"--file=docker/compose.{name}-model.yaml" for name in ports), *COMPOSE[2:])
    try:
        docker(*with_models, "up", "--detach", "--wait")
        for name, port in ports.items():
            (card,) = httpx.get(f"http://127.0.0.1:{port}/v1/models", trust_env=False).json()["data"]
            assert (card["id"], card["variant"]) == (MODELS[name], {"matcha": "onnx-int8", "qwen-vl": "bf16"}[name])
            assert _answer(port, {"matcha": TORCH, "qwen-vl": QWEN_VL}[name]).status_code == 200
    finally:
        docker(*with_models, "down", "--volumes", "--timeout=60")


def test_a_prepared_model_is_served_from_its_claim(kube_play: Path, manifests: Manifests, hub: str) -> None:
    """Unmodified manifests but for the network and the hub's address. The Job fills the claim, the pod reads it."""
    port = free_port()
    played = [_on_loopback(one, {"qwen-vl": port}) for one in manifests.files["component-qwen-vl-prepared-model"]]
    (job,) = [one for one in played if one["kind"] == "Job"]
    job["spec"]["template"]["spec"]["hostNetwork"] = True
    job["spec"]["template"]["spec"]["containers"][0]["env"] += [
        {"name": "HF_ENDPOINT", "value": hub},
        {"name": "NO_PROXY", "value": "*"},
    ]
    preparing = yaml.safe_dump_all(one for one in played if one["kind"] in {"Job", "PersistentVolumeClaim"})
    serving_it = yaml.safe_dump_all(one for one in played if one["kind"] in {"ConfigMap", "Deployment"})
    _kube(kube_play, "load", QWEN_VL.name)
    try:
        _kube(kube_play, "play", manifests=preparing)
        _kube(kube_play, "play", manifests=serving_it)
        _wait_until_ready(port)
        (card,) = httpx.get(f"http://127.0.0.1:{port}/v1/models", trust_env=False).json()["data"]
        assert (card["id"], card["variant"]) == (MODELS["qwen-vl"], "bf16")
        assert _answer(port, QWEN_VL).status_code == 200
    finally:
        for manifest in (serving_it, preparing):
            subprocess.run([kube_play, "stop"], input=manifest, text=True, check=False, capture_output=True)


def test_the_dev_overlay_runs_and_answers(kube_play: Path, manifests: Manifests) -> None:
    """The unmodified manifests except for the network: free ports on this host's loopback."""
    ports = {"matcha": free_port(), "qwen-vl": free_port()}
    played = yaml.safe_dump_all(_on_loopback(manifest, ports) for manifest in manifests.files["dev"])
    for image in (TORCH, QWEN_VL):
        _kube(kube_play, "load", image.name)
    try:
        _kube(kube_play, "play", manifests=played)
        for name, port in ports.items():
            _wait_until_ready(port)
            cards = httpx.get(f"http://127.0.0.1:{port}/v1/models", trust_env=False).json()["data"]
            assert cards[0]["id"] == {"matcha": "tallyglass/tiny-matcha", "qwen-vl": "tallyglass/tiny-qwen2-vl"}[name]
            assert _answer(port, {"matcha": TORCH, "qwen-vl": QWEN_VL}[name]).status_code == 200
    finally:
        subprocess.run([kube_play, "stop"], input=played, text=True, check=False, capture_output=True)


def test_the_replay_jobs_leave_one_report(manifests: Manifests, tmp_path: Path) -> None:
    """Their containers in sequence, as the cluster starts them, with a folder in place of the claim."""
    tmp_path.chmod(0o777)  # the pods run as a different user
    (replay,) = manifests.of("replay", "Job")
    (merging,) = manifests.of("replay-merge", "Job")
    count = replay["spec"]["completions"]
    with running(QWEN_VL) as service:
        for index in range(count):
            for container in containers(replay["spec"]["template"]["spec"]):
                _run_as_pod(container, tmp_path, service.url, index)
    for _ in range(2):  # a retried pod finds its work done
        for container in containers(merging["spec"]["template"]["spec"]):
            _run_as_pod(container, tmp_path)
    counts = [len((tmp_path / f"shard-{index}/outcomes.jsonl").read_text().splitlines()) for index in range(count)]
    assert all(counts)
    outcomes = [json.loads(line) for line in (tmp_path / "merged/outcomes.jsonl").read_text().splitlines()]
    assert len(outcomes) == sum(counts) == _tallyqa_questions()
    assert (tmp_path / "report/index.html").stat().st_size > 10_000


def _tallyqa_questions() -> int:
    return len(json.loads(Path("clients/samples/tallyqa/test.json").read_text()))


def _run_as_pod(container: Manifest, runs: Path, url: str = "", index: int = 0) -> None:
    limits = container["resources"]["limits"]
    changed = {"$(JOB_COMPLETION_INDEX)": str(index), "http://qwen-vl": url}
    arguments = container["args"]
    for written, meant in changed.items():
        arguments = [argument.replace(written, meant) for argument in arguments]
    docker(
        *("run", "--rm", "--network=host", "--user=10001:10001", f"--volume={runs}:/runs", "--read-only"),
        *("--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges", f"--cpus={limits['cpu']}"),
        *(f"--memory={limits['memory'].removesuffix('i').lower()}", container["image"], *arguments),
    )


def _kube(command: Path, *arguments: str, manifests: str = "") -> None:
    done = subprocess.run([command, *arguments], input=manifests, text=True, capture_output=True, check=False)
    assert done.returncode == 0, f"{command.name} {' '.join(arguments)}: {done.stderr}"


def _on_loopback(manifest: Manifest, ports: dict[str, int]) -> Manifest:
    if manifest["kind"] == "Deployment":
        manifest["spec"]["template"]["spec"]["hostNetwork"] = True
        (container,) = manifest["spec"]["template"]["spec"]["containers"]
        container["ports"][0]["containerPort"] = ports[container["name"]]
    if manifest["kind"] == "ConfigMap":
        data: dict[str, Any] = manifest["data"]
        for key in list(data):
            if key.endswith("_HOST"):
                data[key] = "127.0.0.1"
            if key.endswith("_PORT"):
                data[key] = str(ports["matcha" if key.startswith("MATCHA") else "qwen-vl"])
    return manifest


def _wait_until_ready(port: int) -> None:
    deadline_s = time.monotonic() + 120
    while time.monotonic() < deadline_s:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/ready", trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    pytest.fail(f"nothing is ready on port {port}")


def _answer(port: int, image: Image) -> httpx.Response:
    path = {
        "matcha": "clients/samples/realcqa/images/PMC9000001_g001.jpg",
        "qwen_vl": "clients/samples/tallyqa/VG_100K/2378836.jpg",
    }[image.service]
    with Path(path).open("rb") as chart:
        return httpx.post(
            f"http://127.0.0.1:{port}/v1/answer",
            files={"image": chart},
            data={"question": "How many?"},
            timeout=60,
            trust_env=False,
        )
