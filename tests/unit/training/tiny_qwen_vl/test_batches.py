import itertools
import random
from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from services.training.tiny_qwen_vl.data.forms import IMAGE_FIRST, TEXT_FIRST, Form
from services.training.tiny_qwen_vl.data.questions import numeral
from services.training.tiny_qwen_vl.data.scenes import Item, Scene
from services.training.tiny_qwen_vl.learning.batches import Collator, SceneExample, sample_examples
from services.training.tiny_qwen_vl.learning.naming import look_by_patch, look_of, looks_by_cell
from services.training.tiny_qwen_vl.learning.trainer import row_logits
from services.training.tiny_qwen_vl.model.answering import Model
from services.training.tiny_qwen_vl.model.network import CELLS, patches_of
from services.training.tiny_qwen_vl.model.prompt import prompt_ids
from services.training.tiny_qwen_vl.model.tokenizer import IMAGE_PAD


def examples(number: int, questions: int = 3) -> list[SceneExample]:
    return list(itertools.islice(sample_examples(random.Random("test"), questions), number))


def test_pixels_are_what_the_image_processor_gives(fresh: Model) -> None:
    pixels = [example.pixels for example in examples(3)]
    expected = fresh.image_processor(images=[Image.fromarray(each) for each in pixels], return_tensors="pt")
    given = patches_of(torch.from_numpy(np.stack(pixels)), fresh.image_processor)
    assert torch.equal(given, expected["pixel_values"])


@torch.no_grad()
def test_a_row_computes_what_separate_prompts_would(fresh: Model) -> None:
    """In every form; transformers' own positions and causal mask are the oracle. The second row is padded."""
    several, one = examples(2, questions=5)[1], examples(1, questions=1)[0]
    before = Form(system="Be exact."), Form(text_first=True, system="Be exact."), Form(earlier=several.questions[0])
    together = [replace(several, forms=(IMAGE_FIRST, TEXT_FIRST, *before)), replace(one, forms=(TEXT_FIRST,))]
    batch = Collator(fresh.tokenizer)(together)
    assert batch.images.tolist() == [4, 1], "a question after another shares its image"
    network, grid, pad = fresh.network, torch.tensor([[1, 8, 8]]), fresh.tokenizer.convert_tokens_to_ids(IMAGE_PAD)
    patches = patches_of(batch.pixels, fresh.image_processor)
    vision = network.get_image_features(patches, grid.repeat(2, 1), return_dict=True)
    rows, ends = row_logits(network, vision, batch), [*answers(fresh, several), *answers(fresh, one)]
    for example, own, row, labels in zip(together, patches.chunk(2), rows, batch.labels, strict=True):
        found = row[torch.isin(labels, torch.tensor(ends))]
        assert len(found) == len(example.questions)
        for question, form, logits in zip(example.questions, example.forms, found, strict=True):
            ids = torch.tensor([prompt_ids(fresh.tokenizer, form.messages(question.text), CELLS)])
            image = (ids == pad).int()
            alone = network(input_ids=ids, pixel_values=own, image_grid_thw=grid, mm_token_type_ids=image).logits
            assert torch.allclose(logits, alone[0, -1], atol=1e-4)


def answers(model: Model, example: SceneExample) -> list[int]:
    words = [numeral(question.answer, question.language) for question in example.questions]
    return [model.tokenizer.convert_tokens_to_ids(model.tokenizer.tokenize(word)[0]) for word in words]


def test_every_question_is_labelled_with_its_answer_and_an_end(fresh: Model) -> None:
    example = examples(1, questions=4)[0]
    labels = [label for label in Collator(fresh.tokenizer)([example]).labels[0].tolist() if label != -100]
    words = fresh.tokenizer.batch_decode([[label] for label in labels])
    assert words[::2] == [numeral(question.answer, question.language) for question in example.questions]
    assert words[1::2] == ["<|im_end|>"] * 4


def test_names_stand_where_the_item_is() -> None:
    item = Item("blue", "star", (0, 0, 200), x=98.0, y=14.0, radius=12.0, angle=0.0)
    scene = Scene((255, 255, 255), (item,))
    assert look_of(item) == 2 * 6 + 3  # the third colour of six, the fourth shape
    assert looks_by_cell(scene).nonzero().tolist() == [[3, 15]]
    assert set(look_by_patch(scene)[12:].tolist()[:4]) == {16}  # 0 is nothing
    assert look_by_patch(scene).nonzero().flatten().tolist() == [12, 13, 14, 15]  # the four patches of cell 3
