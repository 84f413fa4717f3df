"""Incremental detokenization: which text is final, which may still change, and where a stop string ends it."""

from collections.abc import Callable

from services.common.stops import stop_position

_INCOMPLETE = "\ufffd"


class Detokenizer:
    """Turns tokens into text, holding back partial characters and possible beginnings of a stop string."""

    def __init__(self, decode: Callable[[list[int]], str], stops: tuple[str, ...]) -> None:
        self._decode = decode
        self._stops = stops
        self._token_ids: list[int] = []
        self._sent = 0
        self._text = ""
        self.stopped = False

    @property
    def text(self) -> str:
        """The text so far, cut at a stop string."""
        return self._text

    def push(self, token_id: int) -> str:
        """Add a token and return the text that it makes final."""
        self._token_ids.append(token_id)
        self._text = self._decode(self._token_ids)
        stopped_at = stop_position(self._text, self._stops)
        if stopped_at is not None:
            self._text, self.stopped = self._text[:stopped_at], True
        return self._settle(0 if self.stopped else self._held_back())

    def rest(self) -> str:
        """Return the text held back so far, once there are no more tokens."""
        return self._settle(0)

    def _settle(self, held_back: int) -> str:
        until = max(len(self._text) - held_back, self._sent)
        piece, self._sent = self._text[self._sent : until], until
        return piece

    def _held_back(self) -> int:
        complete = self._text.rstrip(_INCOMPLETE)
        starts = (length for stop in self._stops for length in range(1, len(stop)) if complete.endswith(stop[:length]))
        return len(self._text) - len(complete) + max(starts, default=0)
