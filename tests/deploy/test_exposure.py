"""Network access and pod privileges: every line that protects something is covered by a test."""

import pytest

from tests.deploy.manifests import Manifest, Manifests, containers, matches

SERVICES = ("matcha", "qwen-vl")
OVERLAYS = {"dev": "tallyglass-dev", "prod-cpu": "tallyglass", "prod-gpu": "tallyglass"}


def _labels(manifest: Manifest) -> dict[str, str]:
    labels: dict[str, str] = manifest["spec"]["template"]["metadata"]["labels"]
    return labels


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_reached_from_its_namespace_by_http_and_reaches_nothing(name: str, either: Manifests) -> None:
    policies = [each for _, each in either.every("NetworkPolicy") if each["metadata"]["name"] == name]
    assert policies
    for policy in policies:
        spec = policy["spec"]
        assert set(spec["policyTypes"]) == {"Ingress", "Egress"}  # a direction that is not listed is open
        assert not spec.get("egress")
        assert spec["ingress"] == [{"from": [{"podSelector": {}}], "ports": [{"port": "http"}]}]
        assert spec["podSelector"]["matchLabels"]["app.kubernetes.io/name"] == name


def test_only_the_ingress_controller_comes_from_another_namespace(either: Manifests) -> None:
    others = [each for _, each in either.every("NetworkPolicy") if each["metadata"]["name"] not in SERVICES]
    assert {each["metadata"]["name"] for each in others} == {"ingress-controller"}
    for policy in others:
        spec = policy["spec"]
        assert spec["policyTypes"] == ["Ingress"]
        assert spec["podSelector"] == {"matchLabels": {"app.kubernetes.io/part-of": "tallyglass"}}
        namespaces = {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}
        assert spec["ingress"] == [{"from": [{"namespaceSelector": namespaces}], "ports": [{"port": "http"}]}]


def test_every_pod_that_serves_is_under_a_policy_that_closes_the_way_out_and_no_job_is(manifests: Manifests) -> None:
    """A job either downloads a model from the hub, or sends requests to a service."""
    for file, manifest in manifests.every("Deployment", "Job"):
        closing = [
            policy["metadata"]["name"]
            for policy in manifests.of(file, "NetworkPolicy")
            if matches(policy["spec"]["podSelector"]["matchLabels"], _labels(manifest))
            and "Egress" in policy["spec"]["policyTypes"]
        ]
        assert closing == ([manifest["metadata"]["name"]] if manifest["kind"] == "Deployment" else []), file


def test_a_selector_finds_the_pods_of_its_own_service_and_no_others(manifests: Manifests) -> None:
    for file, deployment in manifests.every("Deployment"):
        name = deployment["metadata"]["name"]
        (service,) = manifests.of(file, "Service", name)
        (budget,) = manifests.of(file, "PodDisruptionBudget", name)
        (policy,) = manifests.of(file, "NetworkPolicy", name)
        spread = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"][0]
        selectors = (
            service["spec"]["selector"],
            *(each["matchLabels"] for each in (budget["spec"]["selector"], policy["spec"]["podSelector"])),
            *(each["matchLabels"] for each in (deployment["spec"]["selector"], spread["labelSelector"])),
        )
        pods = {each["metadata"]["name"]: _labels(each) for each in manifests.of(file, "Deployment")}
        pods |= {each["metadata"]["name"]: _labels(each) for each in manifests.of(file, "Job")}
        for selector in selectors:
            assert [pod for pod, labels in pods.items() if matches(selector, labels)] == [name], (file, selector)


def test_nothing_shares_the_hosts_namespaces_or_files(either: Manifests) -> None:
    for file, pod in either.pods():
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & set(pod), file
        for volume in pod["volumes"]:
            assert set(volume) - {"name"} <= {"emptyDir", "persistentVolumeClaim", "secret"}, file
        for container in containers(pod):
            assert not container["securityContext"].get("privileged"), file
            assert not [port for port in container.get("ports", []) if "hostPort" in port], file
            assert "securityContext" not in pod or "sysctls" not in pod["securityContext"], file


def test_containers_are_as_restricted_as_their_pods(either: Manifests) -> None:
    """A container's setting overrides its pod's."""
    for file, pod in either.pods():
        assert pod["securityContext"]["runAsNonRoot"] is True, file
        assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == 10001, file
        assert pod["automountServiceAccountToken"] is False, file
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, file


def test_accounts_are_the_services_own_and_without_token(either: Manifests) -> None:
    accounts = {each["metadata"]["name"]: each for _, each in either.every("ServiceAccount")}
    assert set(accounts) == set(SERVICES)
    assert [each["automountServiceAccountToken"] for each in accounts.values()] == [False, False]
    for file, deployment in either.every("Deployment"):
        name = deployment["metadata"]["name"]
        assert deployment["spec"]["template"]["spec"]["serviceAccountName"] == name, file
        assert either.of(file, "ServiceAccount", name), file


def test_what_a_container_may_write_is_bounded_and_the_served_model_is_not_among_it(manifests: Manifests) -> None:
    for file, manifest in manifests.every("Deployment", "Job"):
        pod = manifest["spec"]["template"]["spec"]
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for volume in volumes.values():
            assert "sizeLimit" in volume.get("emptyDir", {"sizeLimit": "a claim has its own"}), file
        for container in containers(pod):
            mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
            assert "emptyDir" in volumes[mounts["/tmp"]["name"]], file  # noqa: S108 where the images write
            rest = [mount for path, mount in mounts.items() if path != "/tmp"]  # noqa: S108 as above
            if manifest["kind"] == "Deployment":
                assert all(mount["readOnly"] for mount in rest), file
                rest_of = [volumes[mount["name"]] for mount in rest]
                assert all("secret" in each or each["persistentVolumeClaim"]["readOnly"] for each in rest_of), file


def test_a_namespace_is_restricted_in_every_way_and_holds_all_of_its_overlay(manifests: Manifests) -> None:
    for file, name in OVERLAYS.items():
        (namespace,) = manifests.of(file, "Namespace")
        assert namespace["metadata"]["name"] == name
        modes = {key.rpartition("/")[2]: value for key, value in namespace["metadata"]["labels"].items()}
        assert modes == dict.fromkeys(("enforce", "audit", "warn"), "restricted")
        rest = [each for each in manifests.files[file] if each["kind"] != "Namespace"]
        assert {each["metadata"].get("namespace") for each in rest} == {name}


def test_the_outside_reaches_the_questions_alone(either: Manifests) -> None:
    """Not metrics, documentation or health, which describe the service."""
    ingresses = list(either.every("Ingress"))
    assert {each["metadata"]["name"] for _, each in ingresses} == set(SERVICES)
    for _, ingress in ingresses:
        assert ingress["spec"]["ingressClassName"] == "nginx"
        assert "defaultBackend" not in ingress["spec"]
        (rule,) = ingress["spec"]["rules"]
        (path,) = rule["http"]["paths"]
        assert (path["path"], path["pathType"]) == ("/v1", "Prefix")
        assert path["backend"]["service"] == {"name": ingress["metadata"]["name"], "port": {"name": "http"}}
        assert rule["host"].partition(".")[0] == ingress["metadata"]["name"]


def test_services_are_inside_the_cluster_only(either: Manifests) -> None:
    for file, service in either.every("Service"):
        assert service["spec"].get("type", "ClusterIP") == "ClusterIP", file
        assert "externalIPs" not in service["spec"], file
        ports = [(port["port"], port["appProtocol"], port["targetPort"]) for port in service["spec"]["ports"]]
        assert ports == [(443, "https", "http") if file == "component-tls" else (80, "http", "http")], file
