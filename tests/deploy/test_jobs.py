"""The jobs: what they ask, which services, which paths they use; and that a retried job continues."""

from typing import Any

import pytest
import typer
from pydantic_settings import CliApp

from clients.replay.__main__ import app
from clients.replay.tasks.selection import Shard
from services.common.artifact.command import PrepareOptions
from services.matcha.prepare.command import Prepare as PrepareMatcha
from services.qwen_vl.prepare.command import Prepare as PrepareQwenVL
from tests.deploy.manifests import Manifest, Manifests, containers

REPLAY, MERGE = ("replay", "jobs/replay"), ("replay-merge", "jobs/replay-merge")


def job(manifests: Manifests, places: tuple[str, str]) -> Manifest:
    """The one job in a rendered file, or in the folder that it is rendered from."""
    (found,) = manifests.of(next(place for place in places if place in manifests.files), "Job")
    return found


def parsed(arguments: list[str]) -> dict[str, Any]:
    """A command line of the replay client, parsed by the client."""
    group: Any = typer.main.get_command(app)  # Typer's copy of Click has no public types
    command = group.commands[arguments[0]]
    return dict(command.make_context(arguments[0], arguments[1:]).params)


def _pod(one: Manifest) -> Manifest:
    pod: Manifest = one["spec"]["template"]["spec"]
    return pod


def test_each_pod_of_the_replay_asks_a_part_of_its_own_and_all_parts_are_asked(either: Manifests) -> None:
    replay = job(either, REPLAY)
    spec = replay["spec"]
    assert spec["completionMode"] == "Indexed"
    assert 1 <= spec["parallelism"] <= spec["completions"]
    (container,) = _pod(replay)["containers"]
    asked = []
    for index in range(spec["completions"]):
        arguments = [each.replace("$(JOB_COMPLETION_INDEX)", str(index)) for each in container["args"]]
        asked.append(parsed(arguments))
        assert str(asked[-1]["out"]) == f"/runs/shard-{index}"
    assert [each["shard"] for each in asked] == [Shard(index, len(asked)) for index in range(len(asked))]


def test_a_replay_that_is_tried_again_goes_on_where_it_stopped(either: Manifests) -> None:
    replay = job(either, REPLAY)
    assert parsed([each.replace("$(JOB_COMPLETION_INDEX)", "0") for each in _pod(replay)["containers"][0]["args"]])[
        "resume"
    ]
    assert replay["spec"]["backoffLimitPerIndex"] >= 1
    assert "backoffLimit" not in replay["spec"]  # over all indexes together: one bad node could use it up
    assert "activeDeadlineSeconds" not in replay["spec"]


def test_the_replay_asks_a_service_by_its_name_and_port_for_what_it_serves(manifests: Manifests) -> None:
    replay = job(manifests, REPLAY)
    asked = parsed([each.replace("$(JOB_COMPLETION_INDEX)", "0") for each in _pod(replay)["containers"][0]["args"]])
    (service,) = manifests.of("prod-cpu", "Service", "qwen-vl")
    assert asked["url"] == f"http://{service['metadata']['name']}"
    assert service["spec"]["ports"][0]["port"] == 80
    assert replay["metadata"]["namespace"] == service["metadata"]["namespace"]  # from which the service is reachable
    assert (asked["task"].name, str(asked["data"]), asked["lens"]) == ("tallyqa", "/app/clients/samples/tallyqa", True)


def test_the_merge_comes_before_the_report_and_takes_every_part_once(either: Manifests) -> None:
    replay, merging = job(either, REPLAY), job(either, MERGE)
    (merge,), (report,) = _pod(merging)["initContainers"], _pod(merging)["containers"]
    merged, told = parsed(merge["args"]), parsed(report["args"])
    assert [merge["args"][0], report["args"][0]] == ["merge", "report"]
    parts = [f"/runs/shard-{index}" for index in range(replay["spec"]["completions"])]
    assert [str(path) for path in merged["shards"]] == parts
    assert told["runs"] == [merged["out"]]
    assert str(told["out"]) not in {*parts, str(merged["out"])}


def test_what_the_replay_writes_the_merge_reads(either: Manifests) -> None:
    """One claim shared by several nodes, mounted at the same path in every container."""
    replay, merging = job(either, REPLAY), job(either, MERGE)
    claims = {each["metadata"]["name"]: each for _, each in either.every("PersistentVolumeClaim")}
    for one in (replay, merging):
        volumes = {volume["name"]: volume for volume in _pod(one)["volumes"]}
        assert volumes["runs"]["persistentVolumeClaim"] == {"claimName": "replay-runs"}
        for container in containers(_pod(one)):
            mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
            assert mounts["runs"] == {"name": "runs", "mountPath": "/runs"}
    assert claims["replay-runs"]["spec"]["accessModes"] == ["ReadWriteMany"]


def test_the_jobs_are_in_one_namespace_with_the_services(manifests: Manifests) -> None:
    places = {
        each["metadata"].get("namespace") for file in ("replay", "replay-merge") for each in manifests.files[file]
    }
    assert places == {"tallyglass"}


def test_a_job_that_fails_is_tried_again_by_a_new_pod_and_not_for_ever(either: Manifests) -> None:
    jobs = list(either.every("Job"))
    assert {each["metadata"]["name"] for _, each in jobs} == {
        "replay",
        "replay-merge",
        "matcha-prepare",
        "qwen-vl-prepare",
    }
    for file, one in jobs:
        assert _pod(one)["restartPolicy"] == "Never", file
        tries = one["spec"].get("backoffLimit", one["spec"].get("backoffLimitPerIndex"))
        assert 1 <= tries <= 6, file
        assert "ttlSecondsAfterFinished" not in one["spec"], file  # if it were applied again, it would run again


@pytest.mark.parametrize(
    ("name", "command", "model"),
    [("matcha", PrepareMatcha, "google/matcha-chartqa"), ("qwen-vl", PrepareQwenVL, "Qwen/Qwen2-VL-2B-Instruct")],
)
def test_the_model_is_prepared_into_the_claim_that_is_served(
    name: str, command: type[PrepareOptions], model: str, either: Manifests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PrepareOptions, "cli_cmd", lambda _: None)
    jobs = [(file, one) for file, one in either.every("Job") if one["metadata"]["name"] == f"{name}-prepare"]
    assert jobs
    for file, one in jobs:
        (container,) = _pod(one)["containers"]
        asked = CliApp.run(command, cli_args=container["args"])
        assert (asked.model, asked.force) == (model, False), file
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert str(asked.folder.parent) == mounts["prepared"]
        (home,) = [each["value"] for each in container["env"] if each["name"] == "HF_HOME"]
        assert home.startswith((f"{mounts['tmp']}/", f"{mounts['prepared']}/")), file  # the root is read-only
        volumes = {volume["name"]: volume for volume in _pod(one)["volumes"]}
        assert volumes["prepared"]["persistentVolumeClaim"] == {"claimName": f"{name}-model"}, file
        (claim,) = either.of(file, "PersistentVolumeClaim", f"{name}-model")
        assert claim["spec"]["accessModes"] == ["ReadWriteMany"], file
        for deployment in either.of(file, "Deployment", name):
            served = {volume["name"]: volume for volume in _pod(deployment)["volumes"]}
            assert served["prepared"]["persistentVolumeClaim"]["claimName"] == f"{name}-model", file


def test_weights_that_are_linked_share_a_volume_with_the_hubs_cache(either: Manifests) -> None:
    for file, one in either.every("Job"):
        if one["metadata"]["name"] == "qwen-vl-prepare":
            (container,) = _pod(one)["containers"]
            (home,) = [each["value"] for each in container["env"] if each["name"] == "HF_HOME"]
            mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            assert home.startswith(f"{mounts['prepared']}/"), file


def test_the_hubs_token_is_a_secret_that_may_be_left_out(either: Manifests) -> None:
    jobs = [one for _, one in either.every("Job") if one["metadata"]["name"].endswith("-prepare")]
    assert jobs
    for one in jobs:
        (container,) = _pod(one)["containers"]
        (path,) = [each["value"] for each in container["env"] if each["name"] == "HF_TOKEN_PATH"]
        (mount,) = [each for each in container["volumeMounts"] if each["name"] == "hub-token"]
        assert path == f"{mount['mountPath']}/token"
        assert mount["readOnly"]
        (volume,) = [each for each in _pod(one)["volumes"] if each["name"] == "hub-token"]
        assert volume["secret"] == {"secretName": "hub-token", "optional": True}
