"""Dockerfiles, parsed stage by stage; needs no engine."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

NOBODY = "10001:10001"
TARGETS = {
    "docker/matcha.Dockerfile": ("torch", "onnx", "openvino", "prepare"),
    "docker/qwen_vl.Dockerfile": ("cpu", "cuda"),
    "docker/replay.Dockerfile": ("client",),
}
EACH_TARGET = pytest.mark.parametrize(
    ("path", "target"), [(path, target) for path, targets in TARGETS.items() for target in targets]
)
FILES = pytest.mark.parametrize("path", TARGETS)


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: its base, and its instructions, after those of the stages it is based on."""

    base: str
    steps: tuple[tuple[str, str], ...]

    def last(self, instruction: str) -> str:
        """The arguments of the last instruction of a kind."""
        return [words for name, words in self.steps if name == instruction][-1]

    def environment(self) -> dict[str, str]:
        """The environment variables set by the stage."""
        words = " ".join(words for name, words in self.steps if name == "ENV")
        return dict(re.findall(r"([A-Z_]+)=(\S+)", words))


def stages(path: str) -> dict[str, Stage]:
    """The stages of a Dockerfile by name."""
    text = re.sub(r"\\\n\s*", "", Path(path).read_text(encoding="utf-8"))
    found: dict[str, Stage] = {}
    name = ""
    for line in text.splitlines():
        instruction, _, words = line.strip().partition(" ")
        if instruction == "FROM":
            base, _, name = words.partition(" AS ")
            found[name] = Stage(base, found[base].steps if base in found else ())
        elif instruction and not instruction.startswith("#") and name:
            found[name] = Stage(found[name].base, (*found[name].steps, (instruction, words)))
    return found


@EACH_TARGET
def test_an_image_runs_as_nobody(path: str, target: str) -> None:
    steps = stages(path)[target].steps
    users = [index for index, (name, _) in enumerate(steps) if name == "USER"]
    assert steps[users[-1]] == ("USER", NOBODY)
    assert not {name for name, _ in steps[users[-1] :]} & {"RUN", "COPY", "ADD"}


@EACH_TARGET
def test_an_image_begins_with_the_base_and_holds_no_builder(path: str, target: str) -> None:
    """Build tools stay in separate stages, from which only files are copied."""
    found = stages(path)
    base = target
    while base in found:
        assert base not in {"build", "wheels", "kernel", "app"}
        assert not base.endswith("-venv")
        base = found[base].base
    assert base == "${PYTHON}"
    assert ("RUN", "/tmp/strip && rm /tmp/strip") in found[target].steps  # noqa: S108 gone with that step


@EACH_TARGET
def test_an_image_imports_what_it_runs_while_it_is_built(path: str, target: str) -> None:
    needed = {
        "torch": "services.matcha.api, services.matcha.backends.torch_backend",
        "onnx": "services.matcha.api, services.matcha.backends.onnx_backend",
        "openvino": "services.matcha.api, services.matcha.backends.openvino_backend",
        "prepare": "services.matcha.prepare.command",
        "client": "clients.replay.__main__",
    }
    modules = needed.get(target, "services.qwen_vl.api, services.qwen_vl.engine")
    assert ("RUN", f'python -c "import {modules}"') in stages(path)[target].steps


@pytest.mark.parametrize(
    ("path", "target", "extra"),
    [
        ("docker/matcha.Dockerfile", "torch", "matcha"),
        ("docker/matcha.Dockerfile", "onnx", "matcha-onnx"),
        ("docker/matcha.Dockerfile", "openvino", "matcha-openvino"),
        ("docker/qwen_vl.Dockerfile", "cpu", "qwen-vl"),
        ("docker/qwen_vl.Dockerfile", "cuda", "qwen-vl"),
        ("docker/replay.Dockerfile", "client", "replay"),
    ],
)
def test_an_image_holds_the_packages_of_its_own_extra(path: str, target: str, extra: str) -> None:
    found = stages(path)
    copied = [words for name, words in found[target].steps if name == "COPY" and "/opt/venv" in words]
    assert copied == [f"--from={target if target != 'client' else ''}-venv /opt/venv /opt/venv".replace("=-", "=")]
    venv = copied[0].partition("--from=")[2].split()[0]
    installed = [words for name, words in found[venv].steps if name == "RUN" and "/install" in words]
    more = "" if target == "client" else "${EXTRAS:+,$EXTRAS}"  # none unless a builder names some
    assert [words.rpartition("/install ")[2].strip('"') for words in installed] == [extra + more]


@pytest.mark.parametrize(
    ("path", "targets", "prefix", "port"),
    [
        ("docker/matcha.Dockerfile", ("torch", "onnx", "openvino"), "MATCHA", "8000"),
        ("docker/qwen_vl.Dockerfile", ("cpu", "cuda"), "QWEN_VL", "8001"),
    ],
)
def test_a_service_listens_where_its_health_is_asked(
    path: str, targets: tuple[str, ...], prefix: str, port: str
) -> None:
    for target in targets:
        stage = stages(path)[target]
        told = {key: value for key, value in stage.environment().items() if key.startswith(prefix)}
        assert told.pop(f"{prefix}_VARIANT", None) == ("openvino" if target == "openvino" else None)
        assert told == {f"{prefix}_HOST": "0.0.0.0", f"{prefix}_PORT": port, f"{prefix}_MODEL": "/model"}  # noqa: S104 inside a container
        assert stage.last("EXPOSE") == port
        assert stage.last("STOPSIGNAL") == "SIGTERM"
        assert f'http://127.0.0.1:{{os.environ[\\"{prefix}_PORT\\"]}}/ready' in stage.last("HEALTHCHECK")
        assert "--timeout=3s" in stage.last("HEALTHCHECK")
        assert "timeout=2)" in stage.last("HEALTHCHECK")  # shuts down by itself before it is killed
        assert stage.last("CMD") == f'["python", "-m", "services.{path[7:-11]}"]'


@pytest.mark.parametrize(
    ("target", "folder"),
    [("torch", "models/tiny-matcha"), ("onnx", "/embedded/onnx-int8"), ("openvino", "/embedded/onnx-fp32")],
)
def test_an_image_of_matcha_holds_the_model_in_the_form_that_it_serves(target: str, folder: str) -> None:
    copied = [words.split() for name, words in stages("docker/matcha.Dockerfile")[target].steps if name == "COPY"]
    assert [words[-2] for words in copied if words[-1] == "/model"] == [folder]


@pytest.mark.parametrize(
    ("path", "target", "entry"),
    [
        ("docker/matcha.Dockerfile", "prepare", '["python", "-m", "services.matcha", "prepare"]'),
        ("docker/replay.Dockerfile", "client", '["python", "-m", "clients.replay"]'),
    ],
)
def test_what_ends_by_itself_is_a_command_without_a_probe(path: str, target: str, entry: str) -> None:
    stage = stages(path)[target]
    assert (stage.last("ENTRYPOINT"), stage.last("CMD"), stage.last("HEALTHCHECK")) == (entry, '["--help"]', "NONE")


@FILES
def test_no_secret_is_left_in_an_image(path: str) -> None:
    """The CA certificate is a build secret; pip's cache and the wheels are mounts."""
    text = Path(path).read_text(encoding="utf-8")
    assert not re.findall(r"^(?:ARG|ENV) .*(?:TOKEN|PASSWORD|SECRET|CERT)", text, re.MULTILINE | re.IGNORECASE)
    assert not re.findall(r"^(?:COPY|ADD) .*(?:\.crt|\.env|\.git)\b", text, re.MULTILINE)
    for installs in re.findall(r"RUN ((?:.*\\\n)*.*/install.*)", text):
        assert "--mount=type=secret,id=ca,target=/run/secrets/ca.crt" in installs


@FILES
def test_images_of_one_release_have_one_base_and_pinned_packages(path: str) -> None:
    text = Path(path).read_text(encoding="utf-8")
    assert re.findall(r"^ARG PYTHON=(.*)$", text, re.MULTILINE) == ["python:3.11-slim-bookworm"]
    assert "--constraint constraints.txt" in Path("docker/install").read_text(encoding="utf-8")


def test_a_build_sees_the_project_alone() -> None:
    lines = Path(".dockerignore").read_text(encoding="utf-8").split("\n")
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule for rule in rules if rule.startswith("!")} == {
        *("!clients", "!constraints.txt", "!docker/install", "!docker/strip", "!imaging", "!models", "!pyproject.toml"),
        "!services",
    }


def test_make_images_gives_each_target_its_own_name() -> None:
    recipe = Path("Makefile").read_text(encoding="utf-8")
    built = re.findall(r"--file (\S+) --target (\S+) --tag (\S+) \.", recipe)
    assert built == [
        ("docker/matcha.Dockerfile", "torch", "tallyglass/matcha:torch"),
        ("docker/matcha.Dockerfile", "onnx", "tallyglass/matcha:onnx"),
        ("docker/matcha.Dockerfile", "openvino", "tallyglass/matcha:openvino"),
        ("docker/matcha.Dockerfile", "prepare", "tallyglass/matcha-prepare:torch"),
        ("docker/qwen_vl.Dockerfile", "cpu", "tallyglass/qwen-vl:cpu"),
        ("docker/replay.Dockerfile", "client", "tallyglass/replay:client"),
    ]


@pytest.mark.parametrize("page", ["README.md", "docker/README.md"])
def test_the_documented_command_publishes_to_this_machine_alone(page: str) -> None:
    published = re.findall(r"docker run .*-p (\S+)", Path(page).read_text(encoding="utf-8"))
    assert published == ["127.0.0.1:8000:8000"]
