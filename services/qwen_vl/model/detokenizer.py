"""The text of an answer while it grows: what is settled, what may still change, and where it stops."""

from collections.abc import Callable

from services.common.stops import stop_position

_INCOMPLETE = "\ufffd"


class Detokenizer:
    """Tokens to text. What could be the start of a stop string, or is part of a character, is held back."""

    def __init__(self, decode: Callable[[list[int]], str], stops: tuple[str, ...]) -> None:
        self._decode = decode
        self._stops = stops
        self._token_ids: list[int] = []
        self._sent = 0
        self._text = ""
        self.stopped = False

    @property
    def text(self) -> str:
        """The whole text so far, up to a stop string."""
        return self._text

    def push(self, token_id: int) -> str:
        """Add a token; the text that is settled now and was not before."""
        self._token_ids.append(token_id)
        self._text = self._decode(self._token_ids)
        stopped_at = stop_position(self._text, self._stops)
        if stopped_at is not None:
            self._text, self.stopped = self._text[:stopped_at], True
        return self._settle(0 if self.stopped else self._held_back())

    def rest(self) -> str:
        """What was held back, when no token comes any more."""
        return self._settle(0)

    def _settle(self, held_back: int) -> str:
        until = max(len(self._text) - held_back, self._sent)
        piece, self._sent = self._text[self._sent : until], until
        return piece

    def _held_back(self) -> int:
        complete = self._text.rstrip(_INCOMPLETE)
        starts = (length for stop in self._stops for length in range(1, len(stop)) if complete.endswith(stop[:length]))
        return len(self._text) - len(complete) + max(starts, default=0)
