"""The demo as a new user runs it: two real services, three replays, one report, and no processes left behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser


def demo(*options: str) -> list[str]:
    return [sys.executable, "-m", "clients.demo", *options]


def services_of(out: Path) -> list[psutil.Process]:
    """Those that a demo started, by a variable of its environment: others have their own on the same machine."""
    modules = {"services.matcha", "services.qwen_vl"}
    found = psutil.process_iter(["cmdline", "environ"])
    started = [entry for entry in found if (entry.info["environ"] or {}).get("DEMO_OF") == str(out)]
    return [entry for entry in started if modules & set(entry.info["cmdline"] or [])]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a short demo."""
    out = tmp_path_factory.mktemp("demo") / "out"
    command, marked = demo("--out", str(out), "--limit", "12"), {**os.environ, "DEMO_OF": str(out)}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False, env=marked)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert str(out / "report" / "index.html") in ended.stdout
    assert not services_of(out)
    shutil.copytree(out / "realcqa", out / "again")
    runs = [str(out / name) for name in ("realcqa", "again", "realcqa-shifted")]
    command = [sys.executable, "-m", "clients.replay", "compare", *runs, "--out", str(out / "compared")]
    subprocess.run(command, check=True, capture_output=True)
    return out


def test_every_question_has_an_outcome_and_none_failed(folder: Path) -> None:
    for name in ("realcqa", "realcqa-shifted", "tallyqa"):
        lines = (folder / name / "outcomes.jsonl").read_text().splitlines()
        assert len(lines) == 12
        assert all(json.loads(line)["outcome"] == "scored" for line in lines)
    json.loads((folder / "report" / "report.json").read_text())


def test_a_folder_in_use_is_refused(folder: Path) -> None:
    ended = subprocess.run(demo("--out", str(folder)), capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "choose another folder" in ended.stdout


@pytest.mark.parametrize(
    ("number", "begun"),
    [(signal.SIGINT, "realcqa/outcomes.jsonl"), (signal.SIGTERM, "qwen_vl.log")],
    ids=["in the first replay", "while the second service starts"],
)
def test_a_stopped_demo_stops_its_services(tmp_path: Path, number: signal.Signals, begun: str) -> None:
    out = tmp_path / "out"
    with (tmp_path / "terminal").open("wb") as terminal:
        process = subprocess.Popen(demo("--out", str(out)), stdout=terminal, stderr=terminal)
    try:
        deadline_s = time.monotonic() + 120
        while not (out / begun).exists():
            assert process.poll() is None
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
        started = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        assert process.wait(60) in {130, 143}
    finally:
        process.kill()
    _, alive = psutil.wait_procs(started, timeout=10)
    assert not alive


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("page_of", ["report", "compared"])
def test_the_pages_in_a_browser(folder: Path, browser: Browser, page_of: str, width: int, scheme: str) -> None:
    """No requests, no console messages, no horizontal overflow, and every image loads."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)  # type: ignore[arg-type]
    page = context.new_page()
    complaints: list[str] = []
    fetched: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: fetched.append(request.url))
    page.goto((folder / page_of / "index.html").as_uri())
    assert complaints == []
    assert [url for url in fetched if not url.startswith(("data:", "file:"))] == []
    assert len([url for url in fetched if url.startswith("file:")]) == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # decode() waits for images that are loaded lazily, and rejects broken ones
    page.evaluate("Promise.all([...document.images].map(image => { image.loading = 'eager'; return image.decode() }))")
    assert page.locator("figure svg").count() >= 2
    assert "is detectable" in page.content() or page_of == "report"
    context.close()
