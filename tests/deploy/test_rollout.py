"""How pods are drained, updated and scaled: nodes can be drained, updates drop no request, probes allow enough time."""

import json
import re

import pytest

from clients.launcher import STOP_WITHIN_S
from services.qwen_vl.settings import QwenVLSettings
from tests.deploy.manifests import Manifest, Manifests, containers

SERVICES = ("matcha", "qwen-vl")


def _only_container(deployment: Manifest) -> Manifest:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return dict(container)


def _amount(quantity: str) -> float:
    number, unit = re.fullmatch(r"([0-9.]+)(m|Mi|Gi|)", quantity).groups()  # type: ignore[union-attr]
    return float(number) * {"m": 0.001, "": 1, "Mi": 1 << 20, "Gi": 1 << 30}[unit]


def test_a_node_can_be_drained_one_pod_at_a_time(either: Manifests) -> None:
    """With no spare pod, a drain would wait forever; with all of them, it would stop the service."""
    budgets = list(either.every("PodDisruptionBudget"))
    assert {each["metadata"]["name"] for _, each in budgets} == set(SERVICES)
    for file, budget in budgets:
        assert budget["spec"]["maxUnavailable"] == 1, file
        assert "minAvailable" not in budget["spec"], file


def test_an_update_starts_a_pod_before_it_ends_one(either: Manifests) -> None:
    for file, deployment in either.every("Deployment"):
        strategy = deployment["spec"]["strategy"]
        assert strategy["type"] == "RollingUpdate", file
        assert strategy["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}, file


def test_pods_are_spread_over_nodes_but_start_on_one_if_there_is_one(either: Manifests) -> None:
    for file, deployment in either.every("Deployment"):
        (spread,) = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert (spread["topologyKey"], spread["maxSkew"]) == ("kubernetes.io/hostname", 1), file
        assert spread["whenUnsatisfiable"] == "ScheduleAnyway", file


def test_the_autoscaler_scales_its_own_deployment_between_its_bounds(either: Manifests) -> None:
    for file, scaler in either.every("HorizontalPodAutoscaler"):
        spec, name = scaler["spec"], scaler["metadata"]["name"]
        assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}, file
        assert either.of(file, "Deployment", name), file
        assert (spec["minReplicas"], spec["maxReplicas"]) == ((1, 1) if file == "dev" else (2, 8)), file
        (metric,) = spec["metrics"]
        assert metric["resource"]["name"] == "cpu", file
        assert 50 <= metric["resource"]["target"]["averageUtilization"] <= 90, file
        assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] >= 60, file


@pytest.mark.parametrize("name", SERVICES)
def test_probes_ask_often_enough_and_give_the_time_that_is_needed(name: str, either: Manifests) -> None:
    """Ten minutes to load a model; removed from the Service within seconds; restarted after a minute of silence."""
    deployments = [each for _, each in either.every("Deployment") if each["metadata"]["name"] == name]
    assert deployments
    for deployment in deployments:
        container = _only_container(deployment)
        probes = {kind: container[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness")}
        given_s = {kind: probe["periodSeconds"] * probe["failureThreshold"] for kind, probe in probes.items()}
        assert given_s == {"startup": 600, "readiness": 10, "liveness": 60}
        for probe in probes.values():
            assert 2 <= probe["timeoutSeconds"] <= probe["periodSeconds"]
            assert "initialDelaySeconds" not in probe  # the startup probe waits as long as it takes, and no longer


def test_a_pod_that_ends_is_forgotten_first_and_then_given_its_time(either: Manifests) -> None:
    for file, deployment in either.every("Deployment"):
        pod = deployment["spec"]["template"]["spec"]
        pause_s = _only_container(deployment)["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert 3 <= pause_s <= 15, file
        assert pause_s + STOP_WITHIN_S <= pod["terminationGracePeriodSeconds"] <= 120, file


def test_requests_are_within_limits(either: Manifests) -> None:
    for file, pod in either.pods():
        for container in containers(pod):
            requests, limits = container["resources"]["requests"], container["resources"]["limits"]
            for resource in ("cpu", "memory"):
                assert 0 < _amount(requests[resource]) <= _amount(limits[resource]), (file, resource)


def test_a_service_has_whole_cores_for_its_threads_and_chooses_their_number_by_itself(manifests: Manifests) -> None:
    for file, deployment in manifests.every("Deployment"):
        cpu = _amount(_only_container(deployment)["resources"]["limits"]["cpu"])
        assert cpu == int(cpu) >= 1, file
        (config,) = manifests.of(file, "ConfigMap", f"{deployment['metadata']['name']}-settings")
        assert not [key for key in config["data"] if key.endswith("_THREADS")], file


def test_a_variant_asks_for_no_more_memory_than_it_needs(manifests: Manifests) -> None:
    """Compared with measurements (see the contract): not so high that nodes stay empty, with a limit close above."""
    for file, deployment in manifests.every("Deployment"):
        resources = _only_container(deployment)["resources"]
        request, limit = (_amount(resources[kind]["memory"]) for kind in ("requests", "limits"))
        prepared = deployment["metadata"]["name"] == "qwen-vl" and "/prepared" in json.dumps(deployment)
        assert request <= (6 if prepared else 2.75) * (1 << 30), file
        assert limit <= 2 * request, file


def test_a_gpu_is_asked_for_where_one_is_computed_on_and_nowhere_else(manifests: Manifests) -> None:
    with_gpu = set()
    for file, deployment in manifests.every("Deployment"):
        name, pod = deployment["metadata"]["name"], deployment["spec"]["template"]["spec"]
        (config,) = manifests.of(file, "ConfigMap", f"{name}-settings")
        prefix = name.upper().replace("-", "_")
        on_gpu = config["data"].get(f"{prefix}_DEVICE", QwenVLSettings.model_fields["device"].default) == "cuda"
        limits = _only_container(deployment)["resources"]["limits"]
        assert limits.get("nvidia.com/gpu") == ("1" if on_gpu else None), (file, name)
        assert _only_container(deployment)["image"].endswith(":cuda") == on_gpu, (file, name)
        tolerated = [each["key"] for each in pod.get("tolerations", [])]
        assert tolerated == (["nvidia.com/gpu"] if on_gpu else []), (file, name)
        if on_gpu:
            assert config["data"][f"{prefix}_VARIANT"] == "bf16"
            with_gpu.add((file, name))
    assert with_gpu == {("component-qwen-vl-cuda", "qwen-vl"), ("prod-gpu", "qwen-vl")}


def test_pods_listen_on_all_of_their_own_addresses_and_serve_the_images_model_by_default(manifests: Manifests) -> None:
    for file, deployment in manifests.every("Deployment"):
        name = deployment["metadata"]["name"]
        prefix = name.upper().replace("-", "_")
        (config,) = manifests.of(file, "ConfigMap", f"{name}-settings")
        assert config["data"][f"{prefix}_HOST"] == "0.0.0.0", file  # noqa: S104 a pod's own
        prepared = file in {f"component-{name}-prepared-model", "prod-cpu", "prod-gpu"}
        embedded = "/embedded/onnx-fp32" if file == "component-matcha-onnx-fp32" else "/model"
        assert config["data"][f"{prefix}_MODEL"] == ("/prepared/model" if prepared else embedded), file


def test_no_overlay_for_production_serves_an_embedded_model(manifests: Manifests) -> None:
    for file in ("prod-cpu", "prod-gpu"):
        configs = {
            name: config["data"] for name in SERVICES for config in manifests.of(file, "ConfigMap", f"{name}-settings")
        }
        models = [configs["matcha"]["MATCHA_MODEL"], configs["qwen-vl"]["QWEN_VL_MODEL"]]
        assert models == ["/prepared/model", "/prepared/model"], file
        assert (configs["matcha"]["MATCHA_VARIANT"], configs["qwen-vl"]["QWEN_VL_VARIANT"]) == ("onnx-int8", "bf16")
