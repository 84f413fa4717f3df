"""Manifests, Dockerfiles, compose files and settings agree on ports, probes, variables and limits."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from pydantic_settings import BaseSettings

from clients.launcher import STOP_WITHIN_S, Service
from clients.replay import api_key
from services.matcha.settings import MatchaSettings
from services.matcha.variants import VARIANTS
from services.qwen_vl.settings import QwenVLSettings
from tests.certificates import self_signed
from tests.deploy.manifests import Manifest, Manifests, containers

SERVICES: dict[str, type[MatchaSettings | QwenVLSettings]] = {"matcha": MatchaSettings, "qwen-vl": QwenVLSettings}
FILES = {"matcha": Path("docker/matcha.Dockerfile"), "qwen-vl": Path("docker/qwen_vl.Dockerfile")}
NAMES = pytest.mark.parametrize("name", SERVICES)


def _prefix(settings: type[BaseSettings]) -> str:
    return settings.model_config.get("env_prefix", "")


def _deployments(manifests: Manifests, name: str) -> list[tuple[str, Manifest]]:
    found = [(file, each) for file, each in manifests.every("Deployment") if each["metadata"]["name"] == name]
    assert found
    return found


def _variables(manifests: Manifests, file: str, name: str) -> dict[str, str]:
    (config,) = manifests.of(file, "ConfigMap", f"{name}-settings")
    data: dict[str, str] = config["data"]
    return data


def _pod(deployment: Manifest) -> Manifest:
    pod: Manifest = deployment["spec"]["template"]["spec"]
    return pod


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Secrets that their READMEs have one make, as a pod's folders have them."""
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "api-keys").mkdir()
    (folder / "api-keys" / "keys").write_text("dashboard-0123456789")
    (folder / "tls").mkdir()
    cert, key = self_signed(folder / "tls")
    cert.rename(folder / "tls" / "tls.crt")
    key.rename(folder / "tls" / "tls.key")
    return folder


@NAMES
def test_variables_are_settings_and_their_values_are_valid(
    name: str, manifests: Manifests, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SERVICES[name]
    for file, _ in _deployments(manifests, name):
        variables = _variables(manifests, file, name)
        known = {f"{_prefix(settings)}{field}".upper() for field in settings.model_fields}
        assert set(variables) <= known, file
        with monkeypatch.context() as environment:
            for key, value in variables.items():
                environment.setenv(key, value.replace("/secrets", str(secrets)))
            assert str(settings().port) == variables[f"{_prefix(settings)}PORT"]


@NAMES
def test_pods_read_their_settings(name: str, manifests: Manifests) -> None:
    for file, deployment in _deployments(manifests, name):
        (container,) = _pod(deployment)["containers"]
        (source,) = container["envFrom"]
        (config,) = manifests.of(file, "ConfigMap", f"{name}-settings")
        assert source["configMapRef"]["name"] == config["metadata"]["name"]


@NAMES
def test_one_port_everywhere(name: str, manifests: Manifests) -> None:
    """The default in the settings, the image, the ConfigMap and compose; by name in probes, Service and policy."""
    prefix, port = _prefix(SERVICES[name]), SERVICES[name].model_fields["port"].default
    dockerfile = FILES[name].read_text()
    assert f"{prefix}PORT={port}" in dockerfile
    assert f"EXPOSE {port}" in dockerfile
    compose = yaml.safe_load(Path("docker/compose.yaml").read_text())["services"][name]
    assert [entry.endswith(f":{port}") for entry in compose["ports"]] == [True]
    for file, deployment in _deployments(manifests, name):
        (container,) = _pod(deployment)["containers"]
        assert container["ports"] == [{"name": "http", "containerPort": port}]
        probes = [container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")]
        assert {probe["port"] for probe in probes} == {"http"}
        (service,) = manifests.of(file, "Service", name)
        assert [entry["targetPort"] for entry in service["spec"]["ports"]] == ["http"]
        for policy in manifests.of(file, "NetworkPolicy"):
            assert [rule["ports"] for rule in policy["spec"]["ingress"]] == [[{"port": "http"}]]


@NAMES
def test_probes_ask_what_the_service_answers(name: str, manifests: Manifests, request: pytest.FixtureRequest) -> None:
    service: Service = request.getfixturevalue(name.replace("-", "_"))
    (deployment,) = manifests.of("dev", "Deployment", name)
    (container,) = _pod(deployment)["containers"]
    paths = {kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")}
    assert paths == {"startup": "/ready", "readiness": "/ready", "liveness": "/live"}
    assert all(httpx.get(service.url + path, trust_env=False).is_success for path in paths.values())


@NAMES
def test_probes_speak_https_where_the_service_does(name: str, manifests: Manifests) -> None:
    for file, deployment in _deployments(manifests, name):
        container = _pod(deployment)["containers"][0]
        schemes = [container[f"{kind}Probe"]["httpGet"].get("scheme") for kind in ("startup", "readiness", "liveness")]
        serves_https = f"{_prefix(SERVICES[name])}TLS_CERT" in _variables(manifests, file, name)
        assert serves_https == (file == "component-tls")
        assert schemes == (["HTTPS"] * 3 if serves_https else [None] * 3), file


@NAMES
@pytest.mark.parametrize(
    ("component", "secret", "settings"),
    [
        ("api-keys", "api-keys", {"API_KEYS_FILE": "keys"}),
        ("tls", "tallyglass-tls", {"TLS_CERT": "tls.crt", "TLS_KEY": "tls.key"}),
    ],
)
def test_keys_and_certificates_are_files_of_a_mounted_secret(
    name: str, component: str, secret: str, settings: dict[str, str], manifests: Manifests
) -> None:
    """A whole folder: with ``subPath`` a changed Secret would not arrive."""
    variables = _variables(manifests, f"component-{component}", name)
    ((_, deployment),) = [found for found in _deployments(manifests, name) if found[0] == f"component-{component}"]
    pod = _pod(deployment)
    (volume,) = [volume for volume in pod["volumes"] if "secret" in volume]
    assert volume["secret"] == {"secretName": secret}, "not optional: without it, the pod waits"
    (mount,) = [mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == volume["name"]]
    assert set(mount) == {"name", "mountPath", "readOnly"}
    for setting, file in settings.items():
        assert variables[f"{_prefix(SERVICES[name])}{setting}"] == f"{mount['mountPath']}/{file}"


def test_the_replay_sends_a_key_if_there_is_a_secret_with_one(manifests: Manifests) -> None:
    (job,) = manifests.of("replay", "Job")
    (client,) = _pod(job)["containers"]
    reference = {"name": "replay-api-key", "key": "key", "optional": True}
    assert client["env"] == [{"name": api_key.VARIABLE, "valueFrom": {"secretKeyRef": reference}}]


@NAMES
def test_selectors_find_their_pods(name: str, manifests: Manifests) -> None:
    for file, deployment in _deployments(manifests, name):
        labels = deployment["spec"]["template"]["metadata"]["labels"].items()
        (service,) = manifests.of(file, "Service", name)
        (budget,) = manifests.of(file, "PodDisruptionBudget", name)
        (policy,) = manifests.of(file, "NetworkPolicy", name)
        for selector in (
            service["spec"]["selector"],
            budget["spec"]["selector"]["matchLabels"],
            policy["spec"]["podSelector"]["matchLabels"],
        ):
            assert selector.items() <= labels
        (scaler,) = manifests.of(file, "HorizontalPodAutoscaler", name)
        assert scaler["spec"]["scaleTargetRef"]["name"] == name
        assert "replicas" not in deployment["spec"]  # otherwise every apply would undo the autoscaler


@NAMES
def test_a_pod_is_given_the_time_that_its_service_takes_to_stop(name: str, manifests: Manifests) -> None:
    for _, deployment in _deployments(manifests, name):
        pod = _pod(deployment)
        pause_s = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert pod["terminationGracePeriodSeconds"] >= pause_s + STOP_WITHIN_S
        assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_everything_that_runs_is_restricted(manifests: Manifests) -> None:
    """Pod Security "restricted", a read-only root, the image's user, and limits."""
    users = {re.findall(r"^USER (\d+):(\d+)$", path.read_text(), re.MULTILINE)[-1] for path in FILES.values()}
    for file, pod in manifests.pods():
        security = pod["securityContext"]
        assert security["runAsNonRoot"], file
        assert users == {(str(security["runAsUser"]), str(security["runAsGroup"]))}, file
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, file
        assert pod["automountServiceAccountToken"] is False, file
        for container in containers(pod):
            own = container["securityContext"]
            assert own["readOnlyRootFilesystem"], file
            assert own["allowPrivilegeEscalation"] is False, file
            assert own["capabilities"] == {"drop": ["ALL"]}, file
            assert {"cpu", "memory"} <= set(container["resources"]["limits"]), file
            assert {"cpu", "memory"} <= set(container["resources"]["requests"]), file


def test_namespaces_enforce_it(manifests: Manifests) -> None:
    namespaces = list(manifests.every("Namespace"))
    assert {file for file, _ in namespaces} == {"dev", "prod-cpu", "prod-gpu"}
    for _, namespace in namespaces:
        assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_ingress_lets_through_what_a_service_takes(manifests: Manifests) -> None:
    ingresses = [each for _, each in manifests.every("Ingress")]
    assert ingresses
    for ingress in ingresses:
        settings = SERVICES[ingress["metadata"]["name"]].model_fields
        notes = {key.rpartition("/")[2]: value for key, value in ingress["metadata"]["annotations"].items()}
        assert int(notes["proxy-body-size"]) == settings["max_body_bytes"].default
        assert int(notes["proxy-read-timeout"]) > settings["timeout_s"].default
        assert notes["upstream-hash-by"] == "$http_x_image_digest"
        backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
        assert backend == {"name": ingress["metadata"]["name"], "port": {"name": "http"}}


def test_images_are_those_that_are_built(manifests: Manifests) -> None:
    """Manifests and compose refer to images built by ``make images``; only CUDA's is built by its users."""
    recipe = subprocess.run(["make", "--dry-run", "images"], capture_output=True, text=True, check=True).stdout
    built = set(re.findall(r"--tag (\S+)", recipe)) | {"tallyglass/qwen-vl:cuda"}
    named = {container["image"] for _, pod in manifests.pods() for container in containers(pod)}
    assert named <= built
    targets = {tuple(found) for found in re.findall(r"--file (\S+) --target (\S+)", recipe)}
    for path, target in targets:
        assert re.search(rf"^FROM \S+ AS {target}$", Path(path).read_text(), re.MULTILINE), (path, target)


def test_a_replica_count_of_one_is_devs_alone(manifests: Manifests) -> None:
    least = {file: each["spec"]["minReplicas"] for file, each in manifests.every("HorizontalPodAutoscaler")}
    assert {file for file, replicas in least.items() if replicas < 2} == {"dev"}


def test_the_indexed_replay_and_its_merge_agree_on_the_parts(manifests: Manifests) -> None:
    (job,) = manifests.of("replay", "Job")
    parts = job["spec"]["completions"]
    (shard,) = job["spec"]["template"]["spec"]["containers"]
    assert f"--shard=$(JOB_COMPLETION_INDEX)/{parts}" in shard["args"]
    (merge,) = manifests.of("replay-merge", "Job")
    (first,) = merge["spec"]["template"]["spec"]["initContainers"]
    assert first["args"][1:-1] == [f"/runs/shard-{index}" for index in range(parts)]


def test_the_replay_image_copies_all_that_the_client_imports(tmp_path: Path) -> None:
    """Checked without an image: the files that the Dockerfile copies to /app are enough to start the client."""
    copies = re.findall(
        r"^COPY ((?:services|clients)/.*) /app/(.*)$", Path("docker/replay.Dockerfile").read_text(), re.MULTILINE
    )
    assert copies
    for sources, target in copies:
        for source in map(Path, sources.split()):
            if source.is_dir():
                shutil.copytree(source, tmp_path / target)
            else:
                (tmp_path / target).mkdir(parents=True, exist_ok=True)
                shutil.copy(source, tmp_path / target)
    shows = "import clients.replay.__main__ as client; print(client.__file__)"
    alone = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {shows}"]
    started = subprocess.run(alone, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert started.returncode == 0, started.stderr
    assert Path(started.stdout.strip()).is_relative_to(tmp_path)


def test_compose_is_as_hardened_as_the_manifests() -> None:
    services: dict[str, Any] = yaml.safe_load(Path("docker/compose.yaml").read_text())["services"]
    for name, service in services.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges"], name


def test_every_variant_of_matcha_is_a_component(manifests: Manifests) -> None:
    """All variants but fp32, which the base serves; each names its variant and uses the image that contains it."""
    images = {"bf16": "torch", "int8": "torch", "onnx-fp32": "onnx", "onnx-int8": "onnx"}
    images |= {"openvino": "openvino", "openvino-int8": "openvino"}
    assert set(images) == set(VARIANTS) - {"fp32"}
    for variant, tag in images.items():
        file = f"component-matcha-{variant}"
        assert _variables(manifests, file, "matcha")["MATCHA_VARIANT"] == variant
        (deployment,) = manifests.of(file, "Deployment", "matcha")
        (container,) = _pod(deployment)["containers"]
        assert container["image"] == f"tallyglass/matcha:{tag}"


def test_a_variant_has_the_memory_that_was_measured(manifests: Manifests) -> None:
    """Of the full-size model, from the table in services/matcha/README.md; the limit is a fifth more."""
    readme = Path("services/matcha/README.md").read_text()
    table = readme[readme.index("| of the whole service |") :]
    rows = dict(re.findall(r"^\| `([a-z0-9-]+)` \| [0-9.]+ GiB \| ([0-9.]+) GiB \|", table, re.MULTILINE))
    assert set(rows) == set(VARIANTS)
    del rows["fp32"]  # served by the base, with the memory of the embedded model
    for variant, measured_gib in rows.items():
        (deployment,) = manifests.of(f"component-matcha-{variant}", "Deployment", "matcha")
        resources = _pod(deployment)["containers"][0]["resources"]
        assert _mib(resources["requests"]["memory"]) >= float(measured_gib) * 1024, variant
        assert _mib(resources["limits"]["memory"]) >= 1.2 * float(measured_gib) * 1024, variant


def _mib(quantity: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", quantity).groups()  # type: ignore[union-attr]
    return int(number) * (1024 if unit == "Gi" else 1)


@pytest.mark.parametrize("name", ["matcha", "qwen-vl"])
def test_the_prepared_model_is_where_the_service_looks_for_it(name: str, manifests: Manifests) -> None:
    prefix = name.upper().replace("-", "_")
    for file in (f"component-{name}-prepared-model", "prod-cpu", "prod-gpu"):
        (job,) = manifests.of(file, "Job", f"{name}-prepare")
        (prepare,) = job["spec"]["template"]["spec"]["containers"]
        written = next(argument.removeprefix("--out=") for argument in prepare["args"] if argument.startswith("--out="))
        variables = _variables(manifests, file, name)
        assert variables[f"{prefix}_MODEL"] == written
        (deployment,) = manifests.of(file, "Deployment", name)
        mounts = {mount["name"]: mount["mountPath"] for mount in _pod(deployment)["containers"][0]["volumeMounts"]}
        assert Path(written).parent == Path(mounts["prepared"])
        if f"{prefix}_VARIANT" in variables:
            assert f"--variant={variables[f'{prefix}_VARIANT']}" in prepare["args"]
