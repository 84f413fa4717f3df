from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from services.training.tiny_qwen_vl.data.questions import all_texts
from services.training.tiny_qwen_vl.model.answering import Model
from services.training.tiny_qwen_vl.model.tokenizer import SPECIAL_TOKENS

FOLDER = Path(__file__).parents[4] / "models/tiny-qwen2-vl"


@pytest.mark.parametrize("character", "0123456789零一二两三四五")
def test_a_numeral_is_one_token(fresh: Model, character: str) -> None:
    assert len(fresh.tokenizer(character)["input_ids"]) == 1


def test_no_token_holds_two_han_characters(fresh: Model) -> None:
    pieces = [fresh.tokenizer.decode([token]) for token in range(len(fresh.tokenizer))]
    assert not [piece for piece in pieces if sum("\u4e00" <= character <= "\u9fff" for character in piece) > 1]


def test_special_tokens_have_the_real_names(fresh: Model) -> None:
    for token in SPECIAL_TOKENS:
        assert fresh.tokenizer(token)["input_ids"] == [fresh.tokenizer.convert_tokens_to_ids(token)]
    assert fresh.tokenizer.eos_token == "<|im_end|>"  # noqa: S105 not a secret


def test_the_chat_template_renders_the_real_prompt(fresh: Model) -> None:
    parts = [{"type": "image"}, {"type": "text", "text": "How many?"}]
    prompt = fresh.tokenizer.apply_chat_template(
        [{"role": "user", "content": parts}], tokenize=False, add_generation_prompt=True
    )
    assert prompt == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>How many?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_a_given_system_message_takes_the_place_of_the_usual_one(fresh: Model) -> None:
    messages = [{"role": "system", "content": "Count."}, {"role": "user", "content": "Go."}]
    prompt = fresh.tokenizer.apply_chat_template(messages, tokenize=False)
    assert prompt == "<|im_start|>system\nCount.<|im_end|>\n<|im_start|>user\nGo.<|im_end|>\n"


def test_tokenizers_alone_reads_the_saved_file(fresh: Model) -> None:
    alone = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    loaded = AutoTokenizer.from_pretrained(FOLDER)
    assert type(loaded).__name__.startswith("Qwen2Tokenizer")
    for text in [*all_texts(), "<|im_start|>user\nHow many 图形？ <|im_end|>", "naïve ☃ 12三"]:
        assert alone.encode(text).ids == loaded(text)["input_ids"] == fresh.tokenizer(text)["input_ids"]
