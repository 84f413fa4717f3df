"""Qwen2's real vocabulary as a ``tokenizer.json``, from the list of tokens that the package ``dashscope`` ships.

The list gives each token's rank and no merges, but these follow from it: when the two parts that make up a token are
merged, every merge of lower rank has been made already.
"""

import base64
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Final

from tokenizers import AddedToken, Tokenizer
from transformers import Qwen2Tokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

BYTES: Final = 256
"""The first ranks are single bytes, which nothing is merged to."""
SPECIAL_TOKENS: Final = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
"""Qwen2-VL's, in the order of their ids, which follow those of the ranks."""
_CHARACTERS: Final[dict[int, str]] = bytes_to_unicode()


@cache
def ranks() -> dict[bytes, int]:
    """Each of the 151,643 tokens with its rank, which is its id too.

    Raises:
        FileNotFoundError: ``dashscope`` is not installed, or no longer ships the list.
    """
    package = find_spec("dashscope")  # found, not imported: importing it takes a second and a network client
    if package is None or package.origin is None:
        message = "the vocabulary comes from the package dashscope, which is not installed"
        raise FileNotFoundError(message)
    lines = (Path(package.origin).parent / "resources/qwen.tiktoken").read_bytes().splitlines()
    pairs = (line.split() for line in lines)
    return {base64.b64decode(token): int(rank) for token, rank in pairs}


@cache
def merges() -> tuple[tuple[bytes, bytes], ...]:
    """The two parts of each token but the single bytes, in the order of their ranks."""
    return tuple(_parts(token, rank) for token, rank in ranks().items() if rank >= BYTES)


@cache
def tokenizer_json() -> str:
    """The file ``tokenizer.json``, with the pipeline of transformers' own ``Qwen2Tokenizer`` and the special tokens."""
    vocab = {_printable(token): rank for token, rank in ranks().items()}
    pairs = [(_printable(left), _printable(right)) for left, right in merges()]
    backend: Tokenizer = Qwen2Tokenizer(vocab, pairs).backend_tokenizer
    backend.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL_TOKENS])
    return backend.to_str()


@cache
def special_ids() -> dict[str, int]:
    """The id of each special token."""
    return {token: len(ranks()) + index for index, token in enumerate(SPECIAL_TOKENS)}


def _parts(token: bytes, rank: int) -> tuple[bytes, bytes]:
    """What is left of a token's bytes after all merges of lower rank, the lowest first."""
    known = ranks()
    parts = [token[index : index + 1] for index in range(len(token))]
    while len(parts) > 2:
        joined = [known.get(left + right, rank) for left, right in pairwise(parts)]
        lowest = min(joined)
        assert lowest < rank, f"{token!r} is out of reach of the merges before it"
        index = joined.index(lowest)
        parts[index : index + 2] = [parts[index] + parts[index + 1]]
    left, right = parts
    return left, right


def _printable(token: bytes) -> str:
    """A byte-level vocabulary represents every byte as a printable character."""
    return "".join(_CHARACTERS[byte] for byte in token)
