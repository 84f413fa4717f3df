"""The text of an answer while it grows: what is settled, what may still change, and where it stops."""

from collections.abc import Callable

_INCOMPLETE = "\ufffd"


class AnswerText:
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
        ends = [at for at in map(self._text.find, self._stops) if at >= 0]
        if ends:
            self._text, self.stopped = self._text[: min(ends)], True
        return self._settle(0 if self.stopped else self._held_back())

    def rest(self) -> str:
        """What was held back, when no token comes any more."""
        return self._settle(0)

    def _settle(self, held_back: int) -> str:
        until = max(len(self._text) - held_back, self._sent)
        piece, self._sent = self._text[self._sent : until], until
        return piece

    def _held_back(self) -> int:
        incomplete = len(self._text) - len(self._text.rstrip(_INCOMPLETE))
        starts = (
            length
            for stop in self._stops
            for length in range(1, min(len(stop), len(self._text) + 1))
            if self._text.endswith(stop[:length])
        )
        return max(incomplete, max(starts, default=0))
