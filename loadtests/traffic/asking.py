"""Send one request over HTTP from a greenlet; the result is a reply or a typed failure."""

from typing import Final
from urllib.parse import urlsplit

import gevent
from geventhttpclient import HTTPClient
from geventhttpclient.response import HTTPParseError

from clients.replay import api_key
from clients.replay.run.outcomes import Failure, FailureKind
from clients.replay.run.replies import Reply, read_reply
from loadtests.results.outcomes import NOT_SENT
from loadtests.traffic.questions import Ask

MAX_IN_FLIGHT: Final = 900
"""Most requests in flight per process, which has 1024 file descriptors by default."""


class Asker:
    """Asks one service over persistent connections; a request beyond the limit is not sent, and fails as such.

    The API key and the certificates to trust are those of the environment.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._path = f"{urlsplit(url).path.rstrip('/')}/v1/answer"
        self._headers = {"Content-Type": "application/json", **api_key.headers()}
        self._http = HTTPClient.from_url(  # which trusts the certificates of SSL_CERT_FILE by itself
            url, concurrency=MAX_IN_FLIGHT, connection_timeout=timeout_s, network_timeout=timeout_s
        )
        self._in_flight = 0

    def ask(self, ask: Ask) -> Reply:
        """Ask, and wait at most ``timeout_s`` for the complete answer."""
        if self._in_flight >= MAX_IN_FLIGHT:
            message = f"not sent: {MAX_IN_FLIGHT} requests of this process were in flight"
            return Failure(kind=FailureKind.CONNECTION, message=message, code=NOT_SENT)
        self._in_flight += 1
        try:
            with gevent.Timeout(self._timeout_s):
                return self._exchange(ask)
        except (gevent.Timeout, TimeoutError):
            return Failure(kind=FailureKind.TIMEOUT, message=f"no answer within {self._timeout_s:g} s")
        except (OSError, HTTPParseError) as error:
            return Failure(kind=FailureKind.CONNECTION, message=str(error) or type(error).__name__)
        finally:
            self._in_flight -= 1

    def _exchange(self, ask: Ask) -> Reply:
        headers = {**self._headers, "X-Image-Digest": ask.image_sha256}
        response = self._http.post(self._path, body=ask.body, headers=headers)
        try:
            content = bytes(response.read())
        except HTTPParseError as error:  # after the start of the answer
            return Failure(kind=FailureKind.BAD_REPLY, message=f"cut short: {error}", status=response.status_code)
        return read_reply(response.status_code, content)
