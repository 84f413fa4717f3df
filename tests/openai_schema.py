"""JSON of the types of the ``openai`` package, for Hypothesis: what a client can send according to OpenAI's schema."""

import base64
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, Final, Literal, Union, get_args, get_origin

from hypothesis import strategies as st
from openai._types import SequenceNotStr
from openai.types.chat import ChatCompletionMessageParam
from openai.types.chat import completion_create_params as schema
from PIL import Image
from typing_extensions import get_type_hints, is_typeddict

from tests.images import encode

Json = st.SearchStrategy[Any]

_PNG: Final = base64.b64encode(encode(Image.new("RGB", (60, 40), "white"))).decode()
_IMAGES: Final = (f"data:image/png;base64,{_PNG}", f"DATA:;BASE64,{_PNG[:50]}\n{_PNG[50:]}", _PNG)
_NO_IMAGES: Final = ("https://a.example/b.png", "data:image/png;base64,AAAA", f"data:image/png;base64,{_PNG[:80]}", "")
_WHERE_FEW: Final = 4
"""Most optional fields of an object: with all of them, every request would be refused for the same one."""


@cache
def of(kind: Any) -> Json:
    """Values of a type, as JSON has them.

    Raises:
        TypeError: there is no JSON for it.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in _WRAPPERS:
        return of(arguments[0])
    if origin in _COMPOSED:
        return _COMPOSED[origin](arguments)
    if is_typeddict(kind):
        return _objects(kind)
    if kind in _PLAIN:
        return _PLAIN[kind]
    message = f"no JSON for {kind}"
    raise TypeError(message)


def _objects(kind: Any) -> Json:
    hints = get_type_hints(kind, include_extras=True)
    needed = kind.__required_keys__ | {name for name, hint in hints.items() if get_origin(hint) is _REQUIRED}
    fields = {name: _field(name, hint) for name, hint in hints.items()}
    return st.sets(st.sampled_from(sorted(fields)), max_size=_WHERE_FEW).flatmap(
        lambda chosen: st.fixed_dictionaries({name: fields[name] for name in sorted(needed | chosen)})
    )


def _field(name: str, hint: Any) -> Json:
    if name == "url":
        return st.sampled_from(_IMAGES * 3 + _NO_IMAGES)
    if name == "messages":
        return st.one_of(_conversations(), st.deferred(lambda: of(hint)))
    return st.deferred(lambda: of(hint))


def _conversations() -> Json:
    """Conversations about an image, whose other fields decide what becomes of them."""
    image = {"type": "image_url", "image_url": {"url": _IMAGES[0]}}
    first = {"role": "user", "content": [{"type": "text", "text": "How many bars are there?"}, image]}
    later = of(ChatCompletionMessageParam)
    return st.lists(later, max_size=2).map(lambda turns: [first, *turns])


def _either(kinds: tuple[Any, ...]) -> Json:
    return st.one_of([of(kind) for kind in kinds])


def _list(kinds: tuple[Any, ...]) -> Json:
    return st.lists(of(kinds[0]), max_size=3)


def _mapping(kinds: tuple[Any, ...]) -> Json:
    return st.dictionaries(st.text(max_size=8), of(kinds[1]), max_size=2)


_REQUIRED: Final[Any] = typing.Required
_WRAPPERS: Final[set[Any]] = {_REQUIRED, typing.NotRequired, typing.Annotated}
_COMPOSED: Final[dict[Any, Callable[[tuple[Any, ...]], Json]]] = {
    Union: _either,
    types.UnionType: _either,
    Literal: st.sampled_from,
    dict: _mapping,
    **dict.fromkeys((list, Iterable, Sequence, SequenceNotStr), _list),
}
_NUMBERS: Final = st.sampled_from([0, 1, -1, 2, 5, 4096])
_LEAF: Final = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
_ANYTHING: Final = _LEAF | st.lists(_LEAF, max_size=2) | st.dictionaries(st.text(max_size=5), _LEAF, max_size=2)
_PLAIN: Final[dict[Any, Json]] = {
    type(None): st.none(),
    str: st.sampled_from(["", "How many?", "3"]) | st.text(max_size=12),
    bool: st.booleans(),
    int: _NUMBERS | st.integers(),
    float: _NUMBERS | st.floats(allow_nan=False, allow_infinity=False),
    object: _ANYTHING,
    Any: _ANYTHING,
}

CHAT_REQUESTS: Final = of(schema.CompletionCreateParamsNonStreaming) | of(schema.CompletionCreateParamsStreaming)
