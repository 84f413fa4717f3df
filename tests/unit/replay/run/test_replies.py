"""What comes back over HTTP, whichever library brought it."""

from clients.replay.run.outcomes import Failure, FailureKind
from clients.replay.run.replies import read_reply


def test_a_page_that_is_not_ours_is_quoted_by_characters_not_by_bytes() -> None:
    reply = read_reply(502, ("é" * 250).encode())
    assert reply == Failure(kind=FailureKind.HTTP_STATUS, message="é" * 200, status=502)
