"""The vocabulary against ``tiktoken``, which encodes by the ranks themselves and knows no merges."""

import random
import unicodedata

import pytest
import tiktoken
from tokenizers import Tokenizer
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from tests.hub.vocabulary import SPECIAL_TOKENS, merges, ranks, special_ids, tokenizer_json

pytestmark = pytest.mark.slow

PIECES = [
    "How many bars are there in the chart",
    "they've said it's what we'd expect, I'll wager",
    "Straße, naïve café, Ελληνικά, кириллица, العربية, עברית, हिन्दी, ภาษาไทย",
    "图中有几个红色的圆形？",
    "二〇二四年的增长率是百分之十二。",
    "日本語のひらがなとカタカナ、한국어 문장",
    "3.14159 and 1,234,567 or 0x7F, 10e-5, ½, ٣٤",
    "12345678901234567890",
    "🙂👩‍👩‍👧‍👦🇨🇭 ✓ → ∑ ∞",
    "def area(r: float) -> float:\n    return 3.14 * r**2  # of a circle\n",
    "{'key': [1, 2, {\"a\": null}]};</div>&amp;\\n",
    "   \t\t \n\n\r\n  \u00a0\u3000 ",
    "....!!!???///====----____",
    "\u200b\ufeff\x00\x7f\ufffd",
    "AAAAAAAAaaaaaaaaAaAaAa",
]
TEXTS = 200


def texts() -> list[str]:
    """Random cuts of random pieces in a row, some joined by nothing, and in Unicode's composed form."""
    draw = random.Random(0)
    rows = []
    for _ in range(TEXTS):
        pieces = draw.choices(PIECES, k=draw.randint(1, 6))
        cuts = [piece[draw.randrange(len(piece)) :] for piece in pieces]
        rows.append(unicodedata.normalize("NFC", draw.choice(["", " ", "\n"]).join(cuts)))
    return rows


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_str(tokenizer_json())


def test_ids_are_those_of_tiktoken(tokenizer: Tokenizer) -> None:
    oracle = tiktoken.Encoding("qwen2", pat_str=PRETOKENIZE_REGEX, mergeable_ranks=ranks(), special_tokens={})
    for text in texts():
        assert tokenizer.encode(text).ids == oracle.encode_ordinary(text), text


def test_decoding_gives_the_text_back(tokenizer: Tokenizer) -> None:
    for text in texts():
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_every_token_but_the_bytes_is_a_merge_of_earlier_ones() -> None:
    assert len(ranks()) == 151_643
    assert len(merges()) == 151_387
    for rank, (left, right) in enumerate(merges(), start=256):
        assert ranks()[left + right] == rank
        assert max(ranks()[left], ranks()[right]) < rank


def test_special_tokens_follow_and_are_never_split(tokenizer: Tokenizer) -> None:
    assert tokenizer.get_vocab_size() == 151_657
    assert special_ids()["<|image_pad|>"] == 151_655
    assert tokenizer.encode("".join(SPECIAL_TOKENS)).ids == list(special_ids().values())
    assert tokenizer.decode([151_644, 151_655, 151_645]) == ""
