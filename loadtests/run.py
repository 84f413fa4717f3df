"""A whole load test: start the service if needed, create the run folder, run Locust, and summarize the results."""

import dataclasses
import json
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx
from pydantic import ValidationError

from clients.launcher import StartupError, running
from clients.replay import api_key
from clients.replay.errors import ReplayError
from clients.replay.run.folder import RunFolder
from clients.replay.run.machine import Machine, client_versions
from clients.replay.run.record import RunStatus, Warmup, now
from loadtests.errors import LoadTestError
from loadtests.profile import Profile
from loadtests.results.outcomes import read
from loadtests.results.run_folder import SUMMARY, LoadRecord, LoadSettings, read_record
from loadtests.results.summary import Summary, most_in_flight, summarize, window
from loadtests.traffic.questions import Questions
from loadtests.traffic.samples import BUNDLED, Samples, load
from services.wire.answer import ModelCard, ModelList

TASK_OF: Final = {"matcha": "realcqa", "qwen_vl": "tallyqa"}
"""The dataset of each service's questions."""
_LOCUSTFILE: Final = Path(__file__).parent / "traffic" / "locustfile.py"
_USERS: Final = {"open": "OpenLoopUser", "closed": "ClosedLoopUser"}
_CARD_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to load, and how. Without ``url``, the service is started here with ``service_options``.

    Without ``card``, the service is asked which model it serves.

    ``locust_options`` are passed to Locust unchanged, e.g. ``--processes 2``.
    """

    service: str
    profile: Profile
    out: Path
    url: str | None = None
    data: Path | None = None
    service_options: tuple[str, ...] = ()
    locust_options: tuple[str, ...] = ("--headless",)
    card: ModelCard | None = None

    @property
    def data_folder(self) -> Path:
        """The dataset folder."""
        return self.data or BUNDLED / TASK_OF[self.service]


def run(plan: Plan) -> Summary:
    """Run one load test into a new folder.

    Raises:
        LoadTestError: the load test failed; the message says why.
    """
    try:
        RunFolder(plan.out).require_free()
        RunFolder(plan.out).create()
        with ExitStack() as stack:
            url = plan.url
            if url is None:
                log = plan.out / "service.log"
                url = stack.enter_context(running(plan.service, log, *plan.service_options)).url
            return _measure(plan, url)
    except (ReplayError, StartupError) as error:
        raise LoadTestError(str(error)) from error


def _measure(plan: Plan, url: str) -> Summary:
    folder = RunFolder(plan.out)
    samples = load(TASK_OF[plan.service], plan.data_folder, plan.profile.seed)
    folder.write_record(_first_record(plan, url, samples))
    samples.keep_images(folder.pictures, plan.profile.seed)
    _locust(plan, url)
    outcomes = read(folder.outcomes)
    if not outcomes:
        message = f"no request was sent in {plan.profile.duration_s:g} s: use a longer profile or a higher rate"
        raise LoadTestError(message)
    started, ended = (datetime.fromtimestamp(at_s, UTC) for at_s in window(outcomes))
    reached = {"concurrency": most_in_flight(outcomes), "started": started, "ended": ended}
    folder.write_record(read_record(plan.out).model_copy(update={**reached, "status": RunStatus.FINISHED}))
    summary = summarize(plan.out)
    (plan.out / SUMMARY).write_text(json.dumps(dataclasses.asdict(summary), indent=2) + "\n", encoding="utf-8")
    return summary


def _first_record(plan: Plan, url: str, samples: Samples) -> LoadRecord:
    profile = plan.profile
    with _client() as client:
        card = plan.card or _card(client, url)
        warm_up = _first_answer(client, url, profile, samples)
    return LoadRecord(
        task=TASK_OF[plan.service],
        data=plan.data_folder.resolve().name,
        selection=samples.selection,
        url=url,
        concurrency=profile.users,
        lens=profile.lens,
        timeout_s=profile.timeout_s,
        server=card,
        warm_up=warm_up,
        versions=client_versions(),
        machine=Machine.this(),
        started=now(),
        load=LoadSettings.of(plan.service, profile),
    )


def _client() -> httpx.Client:
    """By no proxy, as Locust asks; with the API key and the certificates to trust that the environment names."""
    try:
        return httpx.Client(trust_env=False, headers=api_key.headers(), verify=httpx.create_ssl_context())
    except OSError as error:
        message = f"the certificates in SSL_CERT_FILE cannot be used ({error}): correct or unset it"
        raise LoadTestError(message) from error


def _card(client: httpx.Client, url: str) -> ModelCard:
    try:
        response = client.get(f"{url}/v1/models", timeout=_CARD_TIMEOUT_S)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            raise api_key.refusal(url)
        return ModelList.model_validate_json(response.raise_for_status().content).data[0]
    except (httpx.HTTPError, httpx.InvalidURL, ValidationError, IndexError) as error:
        message = f"{url} does not list its model ({error}): is it a Tallyglass service, and running?"
        raise LoadTestError(message) from error


def _first_answer(client: httpx.Client, url: str, profile: Profile, samples: Samples) -> Warmup:
    """Ask one question, to detect a service that rejects such requests before thousands of them fail."""
    ask = next(Questions(samples, profile.pictures, lens=profile.lens, seed=profile.seed).stream("first"))
    started_s = time.perf_counter()
    headers = {"Content-Type": "application/json"}
    try:
        response = client.post(f"{url}/v1/answer", content=ask.body, headers=headers, timeout=profile.timeout_s)
    except httpx.HTTPError as error:
        message = f"{url} did not answer the warm-up question: {str(error) or type(error).__name__}"
        raise LoadTestError(message) from error
    if response.is_error:
        message = f"{url} rejected the warm-up question with {response.status_code}: {response.text}"
        raise LoadTestError(message)
    return Warmup(question=ask.sample.question, latency_ms=round((time.perf_counter() - started_s) * 1000, 3))


def _locust(plan: Plan, url: str) -> None:
    command = [
        *(sys.executable, "-m", "locust", "--locustfile", str(_LOCUSTFILE), _USERS[plan.profile.loop]),
        *("--host", url, "--run-folder", str(plan.out), "--data", str(plan.data_folder)),
        *("--csv", str(plan.out / "locust"), "--html", str(plan.out / "locust.html")),
        *("--exit-code-on-error", "0", "--only-summary", "--loglevel", "WARNING", *plan.locust_options),
    ]
    log = plan.out / "locust.log"
    with log.open("wb") as output:
        ended = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)  # noqa: S603 our own
    if ended.returncode:
        message = f"Locust exited with {ended.returncode}: see {log}"
        raise LoadTestError(message)
