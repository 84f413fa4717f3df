"""Ask one question over HTTP; the result is a reply or a typed failure, never an exception."""

import asyncio
import ipaddress
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

import httpx
from pydantic import ValidationError

from clients.replay import api_key
from clients.replay.asking.images import EncodedImage
from clients.replay.asking.retries import Attempts, ask_patiently, retry_after_s
from clients.replay.errors import ReplayError
from clients.replay.run.outcomes import Failure, FailureKind
from clients.replay.run.replies import Reply, read_reply
from services.wire.answer import ModelCard, ModelList
from services.wire.lens import LensRequest

_CARD_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class AskOptions:
    """Options of every request of a run; ``max_patches`` is for MatCha, ``lens`` for Qwen2-VL.

    ``prompt`` is a template that contains ``{question}``.
    """

    max_patches: int | None = None
    lens: bool = False
    timeout_s: float = 120.0
    max_new_tokens: int | None = None
    prompt: str = "{question}"
    retries: int = 5

    def fields(self) -> dict[str, Any]:  # Any: JSON values
        """The request's optional fields."""
        lens = LensRequest(top_k=5, tokens="first").model_dump(exclude_unset=True) if self.lens else None
        fields = {"max_patches": self.max_patches, "max_new_tokens": self.max_new_tokens, "lens": lens}
        return {name: value for name, value in fields.items() if value is not None}


class AnswerClient:
    """Asks one service, with the API key of the environment; ``transport`` replaces the network in tests.

    Raises:
        ReplayError: the URL, or a key, proxy or certificate file that the environment names, cannot be used.
    """

    def __init__(self, url: str, options: AskOptions, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._options = options
        self._fields = options.fields()
        base_url = _checked(url)
        try:
            self._http = httpx.AsyncClient(
                base_url=base_url,
                headers=api_key.headers(),
                timeout=options.timeout_s,
                transport=transport,
                limits=httpx.Limits(max_connections=None),  # the runner bounds them; waiting would count as latency
                trust_env=not _is_loopback(url),  # a proxy cannot reach this machine's own services
                verify=httpx.create_ssl_context(),  # by SSL_CERT_FILE, for them too
            )
        except (ValueError, ImportError, OSError, httpx.InvalidURL) as error:  # of a proxy, and of certificates
            message = (
                f"The environment's proxy or certificates cannot be used: {error}. Correct or unset HTTP_PROXY, "
                "HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE and SSL_CERT_DIR."
            )
            raise ReplayError(message) from error

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, traceback)

    async def model_card(self) -> ModelCard:
        """The served model, from ``/v1/models``.

        Raises:
            ReplayError: the service cannot be reached, needs another API key, or does not list a model.
        """
        try:
            response = await self._http.get("/v1/models", timeout=_CARD_TIMEOUT_S)
            if response.status_code == httpx.codes.UNAUTHORIZED:
                raise api_key.refusal(str(self._http.base_url))
            response.raise_for_status()
            return ModelList.model_validate_json(response.content).data[0]
        except httpx.HTTPError as error:
            message = f"{self._http.base_url} does not respond as expected: {_describe(error)}. Is the service running?"
            raise ReplayError(message) from error
        except (ValidationError, IndexError) as error:
            message = f"{self._http.base_url} does not list a model under /v1/models. Is it a Tallyglass service?"
            raise ReplayError(message) from error

    async def ask(self, image: EncodedImage, question: str) -> Attempts:
        """Ask one question about one image; retry transient failures."""
        return await ask_patiently(partial(self._ask, image, question), self._options.retries)

    async def _ask(self, image: EncodedImage, question: str) -> Reply:
        prompt = self._options.prompt.replace("{question}", question)
        body = {"image": image.base64, "question": prompt, **self._fields}
        try:
            # httpx times out each read and write; this limits the whole request
            async with asyncio.timeout(self._options.timeout_s):
                response = await self._http.post("/v1/answer", json=body, headers={"X-Image-Digest": image.sha256})
        except (TimeoutError, httpx.TimeoutException):
            return Failure(kind=FailureKind.TIMEOUT, message=f"no answer within {self._options.timeout_s:g} s")
        except httpx.HTTPError as error:
            return Failure(kind=FailureKind.CONNECTION, message=_describe(error))
        wait_s = retry_after_s(response.headers.get("Retry-After"))
        return read_reply(response.status_code, response.content, wait_s)


def _describe(error: httpx.HTTPError) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _checked(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        message = f"{url!r} is not a URL: {error}."
        raise ReplayError(message) from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        message = f"{url!r} is not the URL of a service. Give one like http://127.0.0.1:8001."
        raise ReplayError(message)
    return parsed


def _is_loopback(url: str) -> bool:
    host = httpx.URL(url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
