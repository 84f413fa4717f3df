"""JSON of any size, value by value: the items of a list, or the fields of an object.

Values are parsed by the standard library. The streaming parsers on offer stop at NaN and Infinity, which Python's own
``json`` and pandas write into JSON: here they are null. Errors name their line.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Final, TextIO, TypeVar

_Value = TypeVar("_Value")

_CHUNK_CHARACTERS: Final = 1 << 20
_LONGEST_CUT: Final = 16  # characters: a cut through a number, a word or an escape is noticed no earlier than this
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_DECODER: Final = json.JSONDecoder(parse_constant=lambda _: None)


class BrokenJSONError(Exception):
    """The file is not what it should be, from ``line`` on."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def items(file: TextIO) -> Iterator[object]:
    """The items of the list in a file.

    Raises:
        BrokenJSONError: the file is not a list; or it is broken, after yielding the items before.
    """
    text = _Text(file)
    return _values(text, "[", "]", text.value)


def fields(file: TextIO) -> Iterator[tuple[str, object]]:
    """The fields of the object in a file, with their names.

    Raises:
        BrokenJSONError: as ``items``, for an object.
    """
    text = _Text(file)
    return _values(text, "{", "}", text.field)


def _values(text: "_Text", opening: str, closing: str, read: Callable[[], _Value]) -> Iterator[_Value]:
    text.take(opening)
    if text.next() == closing:
        text.take(closing)
    else:
        yield read()
        while text.take(",", closing) == ",":
            yield read()
    text.take("")


class _Text:
    """A file's text from the current place on; more is read as it is needed."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._buffer = ""
        self._place = 0
        self._line = 1  # of the buffer's first character

    def next(self) -> str:
        """The next character that is not space; empty at the end."""
        while True:
            if space := _SPACE.match(self._buffer, self._place):
                self._place = space.end()
            if self._place < len(self._buffer):
                return self._buffer[self._place]
            if not self._read_on():
                return ""

    def take(self, *expected: str) -> str:
        """Take the next character that is not space."""
        found = self.next()
        if found not in expected:
            names = " or ".join(f"{character!r}" if character else "the end of the file" for character in expected)
            message = f"expected {names}, found {found!r}" if found else f"expected {names}, but the file ends"
            raise self._error(message, self._place)
        self._place += len(found)
        return found

    def field(self) -> tuple[str, object]:
        """Take a name and its value."""
        name = self.value()
        if not isinstance(name, str):
            message = "expected a name in quotes"
            raise self._error(message, self._place)
        self.take(":")
        return name, self.value()

    def value(self) -> object:
        """Take a value of any kind."""
        self.next()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._buffer, self._place)
            except json.JSONDecodeError as error:
                if self._may_be_cut(error) and self._read_on():
                    continue
                raise self._error(error.msg, error.pos) from error
            except (ValueError, RecursionError) as error:  # an integer of thousands of digits; nested too deeply
                raise self._error(str(error), self._place) from error
            if end <= len(self._buffer) - _LONGEST_CUT or not self._read_on():
                self._place = end
                return value

    def _error(self, message: str, place: int) -> BrokenJSONError:
        return BrokenJSONError(message, self._line + self._buffer.count("\n", 0, place))

    def _may_be_cut(self, error: json.JSONDecodeError) -> bool:
        return error.msg.startswith("Unterminated string") or error.pos > len(self._buffer) - _LONGEST_CUT

    def _read_on(self) -> bool:
        left = self._buffer[self._place :]
        more = self._file.read(max(_CHUNK_CHARACTERS, len(left)))  # doubling: a long value is parsed only a few times
        if more:
            self._line += self._buffer.count("\n", 0, self._place)
            self._buffer, self._place = left + more, 0
        return bool(more)
