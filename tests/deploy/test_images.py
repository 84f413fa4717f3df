"""The images, run for real: hardened, on one core, with a memory limit."""

import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.deploy.containers import (
    ONNX,
    OPENVINO,
    PREPARE,
    REPLAY,
    REPLAY_MAX_MB,
    SERVICES,
    TORCH,
    Container,
    Image,
    above_base_mb,
    config,
    docker,
    exit_code,
    missing,
    python_in,
    running,
    state,
)

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("images")]

IMAGES = {
    "matcha": ("clients/samples/realcqa/images/PMC9000001_g001.jpg", "What type of chart is it?", "area"),
    "qwen_vl": ("clients/samples/tallyqa/VG_100K/2378836.jpg", "Count the rings.", "5"),
}


@pytest.fixture(scope="session")
def images(engine: None) -> None:  # noqa: ARG001 a fixture that checks
    """Every image built by ``make images``."""
    for name in (REPLAY, PREPARE, *(image.name for image in SERVICES)):
        if docker("image", "inspect", name, check=False).returncode:
            missing(f"no image {name}: run make images")


@pytest.fixture(scope="module", params=SERVICES, ids=lambda image: image.name)
def image(request: pytest.FixtureRequest) -> Image:
    """Each image of a service: all tests of one, then those of the next."""
    each: Image = request.param
    return each


@pytest.fixture(scope="module")
def container(image: Image) -> Iterator[Container]:
    """A container of it with one core, for all tests; the last of them stops it."""
    with running(image) as started:
        yield started


def _ask(url: str, image: Image, client: httpx.Client | None = None, **fields: str) -> httpx.Response:
    path, question, _ = IMAGES[image.service]
    files, data = {"image": Path(path).read_bytes()}, {"question": question, **fields}
    if client:
        return client.post(f"{url}/v1/answer", files=files, data=data)
    return httpx.post(f"{url}/v1/answer", files=files, data=data, timeout=60, trust_env=False)


def _in_flight(url: str) -> float:
    lines = httpx.get(f"{url}/metrics", trust_env=False).text.splitlines()
    return next(float(line.split()[-1]) for line in lines if "in_flight" in line and not line.startswith("#"))


def _processes(container: Container) -> str:
    """Privileges and thread counts of everything in a container, from its own /proc."""
    code = "import glob\nfor path in glob.glob('/proc/[0-9]*/status'): print(open(path).read())"
    return docker("exec", container.name, "python", "-c", code).stdout


def test_a_hardened_container_is_ready_in_time_and_answers(image: Image, container: Container) -> None:
    assert container.ready_cpu_s < image.ready_within_cpu_s
    reply = _ask(container.url, image)
    assert reply.status_code == 200, reply.text
    assert IMAGES[image.service][2] in reply.json()["answer"].lower()
    status = _processes(container)
    assert set(_values(status, "Uid")) == {"10001"}
    assert {int(value, 16) for value in _values(status, "CapEff")} == {0}
    assert set(_values(status, "NoNewPrivs")) == {"1"}
    _wait_until_healthy(container)


def test_compute_threads_are_as_many_as_the_cpu_limit(image: Image, container: Container) -> None:
    """The setting follows the limit, and with a second core the process that computes has more threads than with one.

    A framework that counted the host's cores instead would have as many under both limits.
    """
    threads = [_compute_threads(container, image, cpus=1)]
    with running(image, cpus=2) as other:
        threads.append(_compute_threads(other, image, cpus=2))
    assert threads[1] > threads[0]


def test_stop_answers_what_has_begun_and_ends_with_0(image: Image, container: Container) -> None:
    slow = {"max_patches": "2048"} if image.service == "matcha" else {}
    clients = httpx.Client(timeout=60, trust_env=False)  # one: making them takes longer than an answer
    with clients, ThreadPoolExecutor(24) as pool:
        replies: list[Future[httpx.Response]] = []
        deadline_s = time.monotonic() + 60
        while (waiting := _in_flight(container.url)) <= 5:  # until the shutdown meets a queue
            assert time.monotonic() < deadline_s
            if all(reply.done() for reply in replies):
                replies = [pool.submit(_ask, container.url, image, clients, **slow) for _ in range(24)]
        docker("stop", "--time=60", container.name)
        answered = [reply for reply in replies if reply.exception() is None and reply.result().status_code == 200]
        assert len(answered) >= waiting
        assert exit_code(container.name) == 0


def test_what_is_mounted_in_the_models_place_is_served_or_refused(image: Image, tmp_path: Path) -> None:
    """A folder without a complete model ends the container with exit code 1 and a message."""
    tmp_path.chmod(0o755)
    name = f"tallyglass-test-{tmp_path.name}"
    mount = f"--volume={tmp_path}:/model:ro"
    done = docker("run", "--network=none", f"--name={name}", mount, image.name, check=False)
    try:
        assert done.returncode == 1
        assert "cannot serve" in done.stderr
    finally:
        docker("rm", "--force", name)


def test_an_image_holds_its_own_service_and_no_other(image: Image) -> None:
    lists = "[os.listdir('/app'), os.listdir('/app/services'), glob.glob('/app/services/**/*.pyc', recursive=True)]"
    app, held, compiled = json.loads(python_in(image.name, f"import glob, json, os; print(json.dumps({lists}))"))
    assert "clients" not in app
    assert set(held) - {"__pycache__"} == {"__init__.py", "common", "torch_cpu", "wire", image.service}
    assert len(compiled) > 5


@pytest.mark.parametrize("name", [*(image.name for image in SERVICES), REPLAY])
def test_no_pip_and_no_compiler_is_left(name: str) -> None:
    patterns = "('/[uoa]*/**/*-packages/pip*', '/[uoa]*/**/bin/pip*')"
    found = python_in(
        name,
        "import glob, importlib.util as i, shutil;"
        "print([m for m in ('pip', 'ensurepip') if i.find_spec(m)],"
        "[c for c in ('pip', 'pip3', 'gcc', 'cc', 'c++', 'clang', 'make') if shutil.which(c)],"
        f"[p for each in {patterns} for p in glob.glob(each, recursive=True)])",
    )
    assert found == "[] [] []"


@pytest.mark.parametrize("name", [*(image.name for image in SERVICES), REPLAY])
def test_an_image_says_what_it_is_and_runs_as_nobody(name: str) -> None:
    said = config(name)
    labels = said["Labels"]
    assert isinstance(labels, dict)
    expected = {"title", "description", "licenses", "version", "revision"}
    assert {f"org.opencontainers.image.{label}" for label in expected} <= set(labels)
    assert len(labels["org.opencontainers.image.revision"]) == 40
    assert said["User"] == "10001:10001"


@pytest.mark.parametrize(
    ("name", "max_mb"),
    [*((image.name, image.max_mb) for image in SERVICES), (PREPARE, TORCH.max_mb), (REPLAY, REPLAY_MAX_MB)],
)
def test_an_image_is_no_larger_than_it_may_be(name: str, max_mb: int) -> None:
    assert above_base_mb(name) <= max_mb


@pytest.mark.parametrize("image", [ONNX, OPENVINO], ids=lambda image: image.name)
def test_images_without_torch_hold_none(image: Image) -> None:
    modules = ("torch", "transformers", "sympy", "accelerate", "bitsandbytes", "onnx", "setuptools")
    found = python_in(image.name, f"import importlib.util as i; print([m for m in {modules} if i.find_spec(m)])")
    assert found == "[]"


def test_the_prepare_image_makes_an_artifact_that_the_onnx_image_serves(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)  # the container runs as a different user
    hardened = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--network=none", f"--volume={tmp_path}:/prepared")
    source = f"--volume={Path('models/tiny-matcha').resolve()}:/source:ro"
    docker("run", "--rm", *hardened, source, PREPARE, "/source", "--variant=onnx-fp32", "--out=/prepared/model")
    with running(ONNX, f"--volume={tmp_path}/model:/model:ro") as container:
        assert _ask(container.url, ONNX).json()["variant"] == "onnx-fp32"


def test_the_replay_image_replays_and_reports(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)  # the container runs as a different user
    hardened = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--network=host", f"--volume={tmp_path}:/runs")
    with running(TORCH) as service:
        asked = ("--task=realcqa", "--data=/app/clients/samples/realcqa", "--limit=5", f"--url={service.url}")
        docker("run", "--rm", *hardened, REPLAY, "run", *asked, "--out=/runs/a")
    docker("run", "--rm", *hardened, REPLAY, "report", "/runs/a", "--out=/runs/report")
    assert len((tmp_path / "a" / "outcomes.jsonl").read_text().splitlines()) == 5
    assert (tmp_path / "report" / "index.html").stat().st_size > 10_000
    shutil.rmtree(tmp_path / "a", ignore_errors=True)


def _values(status: str, key: str) -> list[str]:
    return [line.split()[1] for line in status.splitlines() if line.startswith(f"{key}:")]


def _compute_threads(container: Container, image: Image, cpus: int) -> int:
    assert _ask(container.url, image).status_code == 200
    code = "from services.common.cpu import available_cores; print(available_cores())"
    assert docker("exec", container.name, "python", "-c", code).stdout.strip() == str(cpus)
    return _worker_threads(container)


def _worker_threads(container: Container) -> int:
    """Threads of the process with the most memory: the one that loaded the model."""
    each = _processes(container).split("\n\n")
    sizes = [(int(_values(one, "VmRSS")[0]), int(_values(one, "Threads")[0])) for one in each if _values(one, "VmRSS")]
    return max(sizes)[1]


def _wait_until_healthy(container: Container) -> None:
    deadline_s = time.monotonic() + 30
    while docker("inspect", "--format", "{{.State.Health.Status}}", container.name).stdout.strip() != "healthy":
        assert time.monotonic() < deadline_s
        assert state(container.name) == "running"
        time.sleep(0.5)
