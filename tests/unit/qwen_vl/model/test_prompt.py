"""The prompt against transformers' processor, which needs torchvision for videos and so is not used for serving."""

import hashlib

import pytest
import torch
from PIL import Image
from transformers.models.qwen2_vl.processing_qwen2_vl import Qwen2VLProcessor

from services.qwen_vl.model.prompt import PromptBuilder
from services.qwen_vl.types import ImageFile, Question, Role, Turn
from services.wire.errors import InvalidRequestError
from tests.images import encode
from tests.unit.qwen_vl.conftest import build


@pytest.mark.parametrize("question", ["How many circles are there?", "图中有几个圆形？", "a\n  b", "{{ x }} <b> \\"])
@pytest.mark.parametrize("size", [(112, 112), (300, 90), (17, 40), (1, 1)], ids=str)
def test_equal_to_the_processor_of_transformers(
    prompts: PromptBuilder, size: tuple[int, int], question: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Qwen2VLProcessor, "check_argument_for_proper_class", lambda *_: None)  # no video processor
    oracle = Qwen2VLProcessor(image_processor=prompts.processor, tokenizer=prompts.tokenizer)
    image = Image.effect_noise(size, 80).convert("RGB")
    content = [{"type": "image"}, {"type": "text", "text": question}]
    text = prompts.tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    expected = oracle(text=[text], images=[image], return_tensors="pt")
    prompt = build(prompts, image, question)
    assert torch.equal(prompt.input_ids, expected["input_ids"])
    assert torch.equal(prompts.pixels(prompt.spans[0]), expected["pixel_values"])
    assert torch.equal(prompt.image_grid_thw, expected["image_grid_thw"])
    assert torch.equal(prompt.mm_token_type_ids, expected["mm_token_type_ids"])
    assert prompt.image_tokens == int(prompt.mm_token_type_ids.sum())


def test_the_image_comes_before_the_question(prompts: PromptBuilder) -> None:
    prompt = build(prompts, Image.new("RGB", (112, 112)), "How many?")
    last_of_image = int(prompt.mm_token_type_ids[0].nonzero().max())
    assert "How many?" in prompts.tokenizer.decode(prompt.input_ids[0, last_of_image:])


def test_a_conversation_is_equal_to_the_processors_with_every_image_in_its_place(
    prompts: PromptBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Qwen2VLProcessor, "check_argument_for_proper_class", lambda *_: None)  # no video processor
    oracle = Qwen2VLProcessor(image_processor=prompts.processor, tokenizer=prompts.tokenizer)
    pictures = [Image.effect_noise(size, 80).convert("RGB") for size in ((200, 90), (112, 112), (56, 168))]
    files = [ImageFile(encode(image)) for image in pictures]
    turns = (
        Turn("system", ("Answer with a digit.",)),
        Turn("user", (files[0], "How many?", files[1], "And here?")),
        Turn("assistant", ("2",)),
        Turn("user", ("The last: ", files[2], "how many?")),
    )
    prompt = prompts.build(Question(turns, max_new_tokens=1))
    parts = [
        [{"type": "image"} if isinstance(part, ImageFile) else {"type": "text", "text": part} for part in turn.parts]
        for turn in turns
    ]
    conversation = [{"role": turn.role, "content": content} for turn, content in zip(turns, parts, strict=True)]
    text = prompts.tokenizer.apply_chat_template(conversation, add_generation_prompt=True, tokenize=False)
    expected = oracle(text=[text], images=pictures, return_tensors="pt")
    assert torch.equal(prompt.input_ids, expected["input_ids"])
    assert torch.equal(prompt.image_grid_thw, expected["image_grid_thw"])
    assert torch.equal(torch.cat([prompts.pixels(span) for span in prompt.spans]), expected["pixel_values"])
    assert torch.equal(prompt.mm_token_type_ids, expected["mm_token_type_ids"])


def test_a_span_says_what_it_was_made_of(prompts: PromptBuilder) -> None:
    image = ImageFile(encode(Image.new("RGB", (200, 90), "red")))
    turns = (Turn("user", (ImageFile(encode(Image.new("RGB", (112, 112)))), image, "?")),)
    prompt = prompts.build(Question(turns, max_new_tokens=1, min_pixels=20_000, max_pixels=30_000))
    first, span = prompt.spans
    assert span.image is image
    assert span.digest == hashlib.sha256(image.data).hexdigest() != first.digest
    assert (span.width_px, span.height_px) == (200, 90)
    assert span.size == {"shortest_edge": 20_000, "longest_edge": 30_000}
    assert span.grid == (8, 16), "112 x 224 px, the next multiples of 28 that hold 20,000"
    assert (span.tokens, prompt.tokens, prompt.image_tokens) == (32, prompt.input_ids.shape[1], first.tokens + 32)
    ids, name = prompt.input_ids[0].tolist(), prompts.tokenizer.convert_ids_to_tokens
    around = (ids[span.start - 1], ids[span.start], ids[span.end - 2], ids[span.end - 1])
    assert name(around) == ["<|vision_start|>", "<|image_pad|>", "<|image_pad|>", "<|vision_end|>"]


def test_an_extreme_aspect_ratio_is_refused(prompts: PromptBuilder) -> None:
    with pytest.raises(InvalidRequestError, match=r"of 3000 x 10 pixels .*aspect ratio") as refused:
        build(prompts, Image.new("RGB", (3000, 10)), "How many?")
    assert refused.value.param == "image"


CONTROL_TOKENS = [f"<|{name}|>" for name in ("im_start", "im_end", "endoftext", "vision_start", "vision_end")]
CONTROL_TOKENS += ["<|image_pad|>", "<|video_pad|>"]


@pytest.mark.parametrize("token", CONTROL_TOKENS)
@pytest.mark.parametrize("turn", range(4))
def test_a_control_token_in_a_text_stays_text(prompts: PromptBuilder, token: str, turn: int) -> None:
    texts = ["Be brief.", "How many?", "2", "And here?"]
    roles: tuple[Role, ...] = ("system", "user", "assistant", "user")

    def ids(addition: str) -> list[int]:
        changed = [text + addition if place == turn else text for place, text in enumerate(texts)]
        turns = tuple(Turn(role, ("Well: ", text)) for role, text in zip(roles, changed, strict=True))
        token_ids: list[int] = prompts.build(Question(turns, max_new_tokens=1)).input_ids[0].tolist()
        return token_ids

    controls = [token_id for token_id in ids("") if token_id in prompts.tokenizer.added_tokens_decoder]
    with_it = ids(f"{token} x")
    assert [token_id for token_id in with_it if token_id in prompts.tokenizer.added_tokens_decoder] == controls
    assert f"{texts[turn]}{token} x" in prompts.tokenizer.decode(with_it)


def test_a_control_token_put_together_by_the_template_stays_text(prompts: PromptBuilder) -> None:
    image = ImageFile(encode(Image.new("RGB", (112, 112))))
    end_id = prompts.tokenizer.convert_tokens_to_ids("<|im_end|>")
    for parts in (("2?<|im_", "end|>\n"), ("2?<|im_", image, "end|>")):
        built = prompts.build(Question((Turn("user", parts),), max_new_tokens=1))
        assert built.input_ids[0].tolist().count(end_id) == 2, "the template's own, of the system's turn and the user's"


def test_a_pad_written_into_a_question_is_no_image(prompts: PromptBuilder) -> None:
    image = ImageFile(encode(Image.new("RGB", (112, 112))))
    plain, padded = (
        prompts.build(Question((Turn("user", (image, text)),), max_new_tokens=1))
        for text in ("How many?", "How many <|image_pad|>?")
    )
    assert padded.image_tokens == plain.image_tokens == int(padded.mm_token_type_ids.sum())
    assert [span.start for span in padded.spans] == [span.start for span in plain.spans]


def test_texts_are_encoded_as_transformers_encodes_the_whole_prompt(prompts: PromptBuilder) -> None:
    texts = ("  Two\n\nlines ", "caf\u00e9 or cafe\u0301?", "3", "\u4e09\u4e2a \ue000 1,000.5")
    roles: tuple[Role, ...] = ("system", "user", "assistant", "user")
    turns = tuple(Turn(role, (text,)) for role, text in zip(roles, texts, strict=True))
    messages = [
        {"role": turn.role, "content": [{"type": "text", "text": part} for part in turn.parts]} for turn in turns
    ]
    whole = prompts.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    expected = prompts.tokenizer(whole, add_special_tokens=False)["input_ids"]
    assert prompts.build(Question(turns, max_new_tokens=1)).input_ids[0].tolist() == expected


def test_an_image_is_measured_upright(prompts: PromptBuilder) -> None:
    image = Image.new("RGB", (300, 90))
    turned = image.getexif()
    turned[0x0112] = 6
    data = encode(image, "JPEG", exif=turned)
    prompt = prompts.build(Question((Turn("user", (ImageFile(data), "?")),), max_new_tokens=1))
    (span,) = prompt.spans
    assert (span.width_px, span.height_px) == (90, 300)
    assert len(prompts.pixels(span)) == span.grid[0] * span.grid[1]


def test_several_images_stay_where_they_were_put(prompts: PromptBuilder) -> None:
    small, wide = (ImageFile(encode(Image.new("RGB", size))) for size in ((112, 112), (300, 90)))
    turns = (Turn("user", (small, "one", wide, "two")), Turn("assistant", ("yes",)), Turn("user", (small, "three")))
    prompt = prompts.build(Question(turns, max_new_tokens=1))
    ends = [0]
    assert [span.width_px for span in prompt.spans] == [112, 300, 112]
    for span, text in zip(prompt.spans, ("one", "two", "three"), strict=True):
        kinds = prompt.mm_token_type_ids[0, span.start : span.end]
        assert kinds.tolist() == [1] * span.tokens + [0]
        ends.append(span.end)
        assert prompts.tokenizer.decode(prompt.input_ids[0, span.end :]).startswith(text)
    assert int(prompt.mm_token_type_ids.sum()) == prompt.image_tokens == sum(span.tokens for span in prompt.spans)
    assert len({prompt.prefix_key(span) for span in prompt.spans}) == 3


def test_bytes_of_tokens_spell_the_text(prompts: PromptBuilder) -> None:
    text = "How many circles? 图中有几个圆形？ é🙂"
    ids = prompts.tokenizer(text)["input_ids"]
    assert b"".join(map(prompts.token_bytes, ids)).decode() == text


def test_a_token_that_is_part_of_a_character_is_shown_as_broken_and_has_its_bytes(prompts: PromptBuilder) -> None:
    (*parts,) = prompts.tokenizer("🙂", add_special_tokens=False)["input_ids"]
    assert len(parts) > 1
    assert "\ufffd" in prompts.token(parts[0])
    assert prompts.token_bytes(parts[0]) == "🙂".encode()[: len(prompts.token_bytes(parts[0]))]
    assert b"".join(map(prompts.token_bytes, parts)) == "🙂".encode()


def test_a_control_token_is_spelled_out_as_a_token_and_left_out_of_an_answer(prompts: PromptBuilder) -> None:
    end = prompts.tokenizer.convert_tokens_to_ids("<|im_end|>")
    (three,) = prompts.tokenizer("3", add_special_tokens=False)["input_ids"]
    assert (prompts.token(end), prompts.token_bytes(end)) == ("<|im_end|>", b"<|im_end|>")
    assert prompts.decode([three, end]) == "3"
    assert prompts.token_bytes(10**6) == b"", "a model may have more rows in its head than the tokenizer has tokens"


def test_a_string_to_track_is_one_token(prompts: PromptBuilder) -> None:
    assert prompts.token(prompts.single_token("3")) == "3"
    with pytest.raises(InvalidRequestError, match="'31' cannot be tracked because it is 2 tokens: '3', '1'") as refused:
        prompts.single_token("31")
    assert refused.value.param == "lens.track"
