"""Compose files, parsed like an engine would: addresses, names, limits, order; needs no engine."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from clients.launcher import STOP_WITHIN_S
from tests.deploy.manifests import Manifest
from tests.deploy.test_jobs import parsed

SERVICES = {"matcha": 8000, "qwen-vl": 8001}
REPLAYS = {"replay-matcha": "matcha", "replay-qwen-vl": "qwen-vl"}
PREPARES = {"prepare-matcha": "matcha", "prepare-qwen-vl": "qwen-vl"}


class _Loader(yaml.SafeLoader):
    """Supports Compose's ``!reset`` tag, which removes what another file set."""


_Loader.add_constructor("!reset", lambda _loader, _node: [])


def _read(name: str, **environment: str) -> dict[str, Manifest]:
    """The services of a compose file, with its variables replaced by these values or by their defaults."""
    text = re.sub(
        r"\$\{(\w+)(?::-([^}]*))?\}",
        lambda found: environment.get(found[1], found[2] or ""),
        Path("docker", name).read_text(encoding="utf-8"),
    )
    services: dict[str, Manifest] = yaml.load(text, _Loader)["services"]  # noqa: S506 a safe loader
    return services


@pytest.fixture
def compose() -> dict[str, Manifest]:
    """The services with no variables set."""
    return _read("compose.yaml")


@pytest.mark.parametrize("environment", [{}, {"MATCHA_PORT": "9000", "QWEN_VL_PORT": "9001"}])
def test_services_are_published_to_this_machine_alone(environment: dict[str, str]) -> None:
    services = _read("compose.yaml", **environment)
    for name, port in SERVICES.items():
        outside = environment.get(f"{name.upper().replace('-', '_')}_PORT", str(port))
        assert services[name]["ports"] == [f"127.0.0.1:{outside}:{port}"]
    assert [name for name, service in services.items() if "ports" in service] == list(SERVICES)


def test_on_the_hosts_network_services_listen_on_the_loopback_alone() -> None:
    services = _read("compose.host.yaml")
    for name, port in SERVICES.items():
        prefix = name.upper().replace("-", "_")
        assert services[name] == {
            "network_mode": "host",
            "ports": [],
            "environment": {f"{prefix}_HOST": "127.0.0.1", f"{prefix}_PORT": port},
        }
    others = {*REPLAYS, *PREPARES}
    assert {name: services[name] for name in others} == {name: {"network_mode": "host"} for name in others}
    assert set(services) == {*SERVICES, *others}


def test_every_container_is_hardened_and_takes_no_more_than_it_may(compose: dict[str, Manifest]) -> None:
    allowed = {"image", "read_only", "tmpfs", "cap_drop", "security_opt", "pids_limit", "stop_grace_period", "ports"}
    allowed |= {"cpus", "mem_limit", "profiles", "user", "volumes", "depends_on", "command", "network_mode"}
    allowed |= {"environment"}
    for name, service in compose.items():
        assert set(service) <= allowed, name  # no privileged, no cap_add, no host namespaces, no devices
        assert service["read_only"] is True, name
        assert service["tmpfs"] == ["/tmp"], name  # noqa: S108 where the images write
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges"], name
        assert 0 < service["pids_limit"] <= 1024, name
        assert service.get("network_mode", "none") == "none", name
    for name in SERVICES:
        assert (compose[name]["cpus"], compose[name]["mem_limit"]) == (1, "2g")
        assert "volumes" not in compose[name]
        assert "user" not in compose[name]  # the image's own user


def test_a_replay_runs_as_nobody_by_default_and_sees_one_folder_of_the_host(compose: dict[str, Manifest]) -> None:
    for name in (*REPLAYS, "report"):
        assert compose[name]["user"] == "10001:10001"
        assert compose[name]["volumes"] == ["../runs/compose:/runs"]
        assert compose[name]["profiles"] == ["replay"]  # `up` alone starts the services


@pytest.mark.parametrize(("prepare", "service"), PREPARES.items())
def test_a_model_named_by_a_variable_is_prepared_where_its_service_looks(
    prepare: str, service: str, compose: dict[str, Manifest]
) -> None:
    """By the images that can: the volume takes its owner from them, and only `prepare` may write to it."""
    variable = service.upper().replace("-", "_")
    override = _read(f"compose.{service}-model.yaml")
    assert override[prepare] == {"profiles": []}
    (mount,) = compose[prepare]["volumes"]
    assert override[service]["volumes"] == [f"{mount}:ro"]
    folder = override[service]["environment"][f"{variable}_MODEL"]
    assert override[service]["depends_on"] == {prepare: {"condition": "service_completed_successfully"}}
    assert compose[prepare]["profiles"] == ["prepare"]  # the embedded models are served without it
    asked = {**compose[prepare]["environment"]}
    assert asked.pop("HF_HOME").startswith("/prepared/")  # a download is resumed, the weights are linked
    assert asked == dict.fromkeys(("HF_ENDPOINT", "HF_TOKEN", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"))
    named = _read("compose.yaml", **{f"{variable}_MODEL": "some/model", f"{variable}_VARIANT": "fp32"})
    for services, model, variant in (
        (compose, None, {"matcha": "onnx-int8", "qwen-vl": "bf16"}[service]),
        (named, "some/model", "fp32"),
    ):
        *_, source, variant_option, out = services[prepare]["command"]
        assert source == (model or {"matcha": "google/matcha-chartqa", "qwen-vl": "Qwen/Qwen2-VL-2B-Instruct"}[service])
        assert (variant_option, out) == (f"--variant={variant}", f"--out={folder}")
    if service == "matcha":  # the image for that variant
        assert override[service]["image"] == "tallyglass/matcha:onnx"


def test_a_service_is_given_the_time_that_it_takes_to_stop(compose: dict[str, Manifest]) -> None:
    for name in SERVICES:
        assert STOP_WITHIN_S <= int(compose[name]["stop_grace_period"].removesuffix("s")) <= 120


def test_images_are_those_that_make_images_builds(compose: dict[str, Manifest]) -> None:
    recipe = Path("Makefile").read_text(encoding="utf-8")
    built = set(re.findall(r"--tag (tallyglass/\S+)", recipe))
    assert {service["image"] for service in compose.values()} <= built
    assert compose["matcha"]["image"] == "tallyglass/matcha:torch"
    assert _read("compose.yaml", MATCHA_TARGET="onnx")["matcha"]["image"] == "tallyglass/matcha:onnx"


def test_a_replay_asks_its_own_service_once_that_is_healthy(compose: dict[str, Manifest]) -> None:
    asked = {name: parsed(compose[name]["command"]) for name in REPLAYS}
    for name, service in REPLAYS.items():
        assert asked[name]["url"] == f"http://{service}:{SERVICES[service]}"
        assert str(asked[name]["out"]) == f"/runs/{service}"
        assert compose[name]["depends_on"] == {each: {"condition": "service_healthy"} for each in SERVICES}
    told: dict[str, tuple[Any, ...]] = {
        name: (each["task"].name, str(each["data"]), each["lens"]) for name, each in asked.items()
    }
    assert told == {
        "replay-matcha": ("realcqa", "/app/clients/samples/realcqa", False),
        "replay-qwen-vl": ("tallyqa", "/app/clients/samples/tallyqa", True),
    }
    assert all(each["limit"] >= 1000 for each in asked.values())  # all questions, unless LIMIT is set


def test_the_report_is_of_both_replays_and_waits_for_them(compose: dict[str, Manifest]) -> None:
    told = parsed(compose["report"]["command"])
    assert [str(run) for run in told["runs"]] == [f"/runs/{service}" for service in REPLAYS.values()]
    assert str(told["out"]) == "/runs/report"
    assert compose["report"]["depends_on"] == {
        name: {"condition": "service_completed_successfully"} for name in REPLAYS
    }
