"""Whole stacks, run for real: compose with the replay, and the ``dev`` overlay."""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from clients.launcher import free_port
from tests.deploy.containers import QWEN_VL, TORCH, Image, docker, running
from tests.deploy.manifests import Manifest, Manifests, containers

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("engine")]

COMPOSE = ("compose", "--file=docker/compose.yaml", "--file=docker/compose.host.yaml", "--project-name=tallyglass-test")


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
    deadline_s = time.monotonic() + 60
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
