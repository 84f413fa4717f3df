"""The tokenizer: one token per word of an answer, per digit, and per marker of the teaching text.

Words that occur in no answer of ``questions`` become ``<unk>``. The file loads with
``tokenizers`` alone and with transformers' ``AutoTokenizer``.
"""

import re

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from services.training.tiny_matcha.data import charts
from services.training.tiny_matcha.data.kinds import KINDS

PAD, EOS, UNKNOWN = "<pad>", "</s>", "<unk>"
QUESTION, TABLE = "<question>", "<table>"
"""Open two parts of the teaching text."""
MAX_SLOTS = 4
PIECES = r", | ?[A-Za-z]+|[0-9]"
"""What a token covers: the comma of a list, a word with the space before it, or one digit."""


def kind_token(kind: str) -> str:
    """The token that names a kind of question in the teaching text."""
    return f"<{kind}>"


def slot_token(slot: int) -> str:
    """The token that opens the row of the ``slot``-th category, from 0, in the teaching text."""
    return f"<slot {slot + 1}>"


def special_tokens() -> list[str]:
    """Tokens that are never part of an answer, in the order of their ids, from 0."""
    kinds = [kind_token(kind) for kind in KINDS]
    return [PAD, EOS, UNKNOWN, QUESTION, TABLE, *(slot_token(slot) for slot in range(MAX_SLOTS)), *kinds]


def answer_pieces() -> list[str]:
    """Every piece that can occur in an answer, without repetitions, in a fixed order."""
    words = [*charts.CATEGORY_NAMES, *charts.SERIES_NAMES, *charts.CATEGORY_TITLES, *charts.VALUE_TITLES, "Yes", "No"]
    phrases = [", ", "0123456789", *(member.value for member in charts.ChartType), *words]
    return list(dict.fromkeys(piece for phrase in phrases for piece in re.findall(PIECES, phrase)))


def build_tokenizer() -> Tokenizer:
    """The tokenizer; it appends the end token to what it encodes."""
    special = special_tokens()
    ids = {token: index for index, token in enumerate([*special, *answer_pieces()])}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PIECES), "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {EOS}", special_tokens=[(EOS, ids[EOS])])
    tokenizer.decoder = decoders.Fuse()
    return tokenizer


def as_pretrained(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """The same tokenizer in the form that transformers saves and loads."""
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        unk_token=UNKNOWN,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )
