"""The API key of a service, from the environment alone: a command line can be read by others on the machine.

It is sent, and never printed or written.
"""

import os
from typing import Final

from clients.replay.errors import ReplayError

VARIABLE: Final = "TALLYGLASS_API_KEY"


def headers() -> dict[str, str]:
    """What each request sends: the key, if there is one.

    Raises:
        ReplayError: the variable's value cannot be sent.
    """
    key = os.environ.get(VARIABLE, "").strip()
    if not (key.isascii() and key.isprintable() and " " not in key):
        message = f"The value of {VARIABLE} is not an API key: it has spaces or characters that no key has."
        raise ReplayError(message)
    return {"Authorization": f"Bearer {key}"} if key else {}


def refusal(url: str) -> ReplayError:
    """The error if a service answers with 401."""
    if headers():
        return ReplayError(f"{url} does not accept the API key in {VARIABLE}: set it to one of the service's keys.")
    return ReplayError(f"{url} needs an API key: set {VARIABLE} to one of the service's keys.")
