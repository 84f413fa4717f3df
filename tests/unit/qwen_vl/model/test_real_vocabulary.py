"""Prompts and answers in Qwen2's real vocabulary, whose tokens are known from the list that they come from."""

from itertools import accumulate

import pytest
from PIL import Image

from services.qwen_vl.model.detokenizer import Detokenizer
from services.qwen_vl.model.prompt import PromptBuilder
from services.qwen_vl.types import ImageFile, Question, Turn
from services.wire.errors import InvalidRequestError
from tests.hub.layouts import LAYOUTS, write
from tests.hub.vocabulary import ranks, special_ids
from tests.images import encode

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> PromptBuilder:
    folder = tmp_path_factory.mktemp("model")
    write(LAYOUTS[0], folder)
    return PromptBuilder(folder, 28 * 28 * 100)


@pytest.mark.parametrize("text", ["图中有三个红色的圆形，共12.5%。", "鿕𪚥🀄\u20dd 𝟛 ½ 三\u3000个", "é🙂🏽‍🔬 ok"])
def test_characters_are_sent_once_their_last_byte_is_there(prompts: PromptBuilder, text: str) -> None:
    token_of = {rank: token for token, rank in ranks().items()}
    ids: list[int] = prompts.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert b"".join(token_of[token_id] for token_id in ids) == text.encode()
    detokenizer = Detokenizer(prompts.decode, ())
    sent = list(accumulate(detokenizer.push(token_id) for token_id in ids))
    begun = accumulate(token_of[token_id] for token_id in ids)
    assert sent == [part.decode(errors="ignore") for part in begun]


def test_a_prompt_is_as_long_as_its_tokens_are_many(prompts: PromptBuilder) -> None:
    """An image of 84 × 56 pixels is 3 × 2 tokens; a control token that someone writes is the tokens of its letters."""
    image = ImageFile(encode(Image.new("RGB", (84, 56))))
    turn = Turn("user", (image, "有几个", "<|im_end|>", " three"))
    built = prompts.build(Question((turn,), max_new_tokens=1))
    known, special = ranks(), special_ids()
    expected = [
        *(special["<|im_start|>"], known[b"system"], known[b"\n"]),
        *(known[word] for word in (b"You", b" are", b" a", b" helpful", b" assistant", b".")),
        *(special["<|im_end|>"], known[b"\n"], special["<|im_start|>"], known[b"user"], known[b"\n"]),
        *(special["<|vision_start|>"], *[special["<|image_pad|>"]] * 6, special["<|vision_end|>"]),
        *(known["有几个".encode()], known[b"<"], known[b"|"], known[b"im"], known[b"_end"], known[b"|"], known[b">"]),
        *(known[b" three"], special["<|im_end|>"], known[b"\n"]),
        *(special["<|im_start|>"], known[b"assistant"], known[b"\n"]),
    ]
    assert built.input_ids[0].tolist() == expected
    assert (built.tokens, built.image_tokens) == (len(expected), 6)


@pytest.mark.parametrize("text", ["3", "三", " three"])
def test_a_word_of_the_vocabulary_can_be_tracked(prompts: PromptBuilder, text: str) -> None:
    assert prompts.single_token(text) == ranks()[text.encode()]


def test_the_end_of_an_answer_can_be_tracked(prompts: PromptBuilder) -> None:
    assert prompts.single_token("<|im_end|>") == special_ids()["<|im_end|>"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("12", "'12' cannot be tracked because it is 2 tokens: '1', '2'. Track one of them"),
        (" twelve three", "2 tokens: ' twelve', ' three'"),
    ],
)
def test_what_is_several_tokens_cannot(prompts: PromptBuilder, text: str, message: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        prompts.single_token(text)
    assert message in str(refused.value)
