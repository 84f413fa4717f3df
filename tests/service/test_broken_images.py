"""Broken image files over HTTP: an answer or a refusal, in bounded memory. ``FUZZ_IMAGES`` sets how many are sent."""

import base64
import os
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil

from clients.launcher import Service
from tests.broken_images import FILES, mutated

IMAGES = int(os.environ.get("FUZZ_IMAGES", "120"))
AT_ONCE = 8
MOST_GROWTH = 400 << 20


def resident(service: Service) -> int:
    main = psutil.Process(service.process.pid)
    return sum(int(process.memory_info().rss) for process in [main, *main.children(recursive=True)])


def test_a_broken_image_is_answered_or_refused_and_harms_nobody(service: Service, png: bytes) -> None:
    with (
        httpx.Client(base_url=service.url, timeout=120, trust_env=False) as client,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):

        def ask(image: bytes) -> httpx.Response:
            body = {"image": base64.b64encode(image).decode(), "question": "How many shapes are there?"}
            return client.post("/v1/answer", json=body)

        def send(seed: int) -> str:
            response = ask(mutated(FILES[seed % len(FILES)], random.Random(seed)))
            error = "" if response.is_success else response.json()["error"]["message"]
            told = response.status_code == httpx.codes.OK or len(error) > len("no image")
            return f"{response.status_code}" if told else f"{response.status_code} without a reason, seed {seed}"

        expected = ask(png).json()["answer"]
        list(pool.map(send, range(-AT_ONCE, 0)))  # what every process needs once
        before = resident(service)
        outcomes = Counter(pool.map(send, range(IMAGES)))
        assert outcomes.keys() <= {"200", "413", "415", "422"}, outcomes
        assert outcomes["200"] > IMAGES / 20
        assert outcomes["415"] > IMAGES / 20
        assert ask(png).json()["answer"] == expected
        grown = resident(service) - before
    assert grown < MOST_GROWTH
    print(service.name, dict(outcomes), f"{grown >> 20} MiB more")  # noqa: T201 shown with -s
