"""The JDK's own HTTP client."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from clients.launcher import Service

pytestmark = pytest.mark.slow


def test_javas_http_client_gets_the_answer(service: Service, png: bytes, tmp_path: Path) -> None:
    if not (java := shutil.which("java")):
        if os.environ.get("CI"):
            pytest.fail("java is missing: install a JDK of version 11 or newer")
        pytest.skip("java is missing")
    picture, question = tmp_path / "picture.png", "How many shapes are there?"
    picture.write_bytes(png)
    source = str(Path(__file__).with_name("Ask.java"))
    told = subprocess.run(
        [java, source, service.url, str(picture), question], capture_output=True, text=True, check=True, timeout=120
    )
    status, _, body = told.stdout.partition("\n")
    sent = httpx.post(f"{service.url}/v1/answer", data={"question": question}, files={"image": ("a.png", png)})
    assert (status, json.loads(body)["answer"]) == ("200", sent.json()["answer"])
