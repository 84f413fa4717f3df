"""Every command in surroundings that are broken: it works, or one sentence says what to do; never a traceback."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from clients.launcher import free_port

pytestmark = pytest.mark.slow

ASCII: Final = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
ELSEWHERE: Final = "http://192.0.2.1:8000"
"""An address that leads nowhere, by RFC 5737; a proxy is not used for one's own machine."""
REPLAY: Final = ("clients.replay", "run", "--task=realcqa", "--data=clients/samples/realcqa", f"--url={ELSEWHERE}")


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    ended = subprocess.run(
        [sys.executable, "-m", *command],
        env=os.environ | {"NO_PROXY": ""} | environment,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=120,
    )
    assert "Traceback" not in ended.stderr + ended.stdout, ended.stderr
    return ended


def test_output_in_ascii() -> None:
    """Help texts are printed in it by the tests of help."""
    assert run("services.qwen_vl", "inspect", "models/tiny-qwen2-vl", **ASCII).returncode == 0


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"HTTP_PROXY": "socks9://proxy"}, "Unknown scheme for proxy URL"),
        ({"HTTP_PROXY": "http://proxy:port"}, "Invalid port"),
        ({"SSL_CERT_FILE": "/nowhere/ca.crt"}, "No such file or directory"),
        ({"SSL_CERT_FILE": "README.md"}, "no certificate"),
    ],
    ids=["scheme", "port", "no file", "no certificate"],
)
def test_a_proxy_or_certificates_that_cannot_be_used(environment: dict[str, str], reason: str, tmp_path: Path) -> None:
    replay = run(*REPLAY, f"--out={tmp_path}/run", **environment)
    hub = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": ELSEWHERE}
    prepare = run("services.qwen_vl", "prepare", "some/model", f"--out={tmp_path}/model", **hub, **environment)
    for ended in (replay, prepare):
        assert ended.returncode == 1
        (line,) = ended.stderr.strip().splitlines()
        assert next(iter(environment)) in line
        assert "orrect" in line  # the sentence says what to do
    assert reason in replay.stderr


@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="this machine has a GPU")
@pytest.mark.parametrize("service", ["matcha", "qwen_vl"])
def test_a_gpu_that_is_not_there(service: str) -> None:
    ended = run(f"services.{service}", "--device", "cuda")
    assert ended.returncode == 1
    assert ended.stderr == "cannot serve: no NVIDIA driver (libcuda.so.1) is installed here: use --device cpu\n"


def test_a_temporary_folder_whose_path_is_too_long_for_sockets() -> None:
    folder = Path("/tmp", "x" * 71)  # noqa: S108 pytest's own folders may be longer already
    folder.mkdir()
    ended = run("services.matcha", "--port", str(free_port()), TMPDIR=str(folder))
    folder.rmdir()
    assert ended.returncode == 1
    assert "the path in TMPDIR has 76 characters, too many for the sockets in it: set it to one of at most 75" in (
        ended.stderr
    )
