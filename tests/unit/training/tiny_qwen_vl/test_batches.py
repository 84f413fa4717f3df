import itertools
import random

import numpy as np
import torch
from PIL import Image

from services.training.tiny_qwen_vl.data.questions import numeral
from services.training.tiny_qwen_vl.data.scenes import Item, Scene
from services.training.tiny_qwen_vl.learning.batches import Collator, SceneExample, sample_examples
from services.training.tiny_qwen_vl.learning.naming import look_by_patch, look_of, looks_by_cell
from services.training.tiny_qwen_vl.model.answering import Model
from services.training.tiny_qwen_vl.model.network import CELLS, patches_of
from services.training.tiny_qwen_vl.model.prompt import prompt_ids


def examples(number: int, questions: int = 3) -> list[SceneExample]:
    return list(itertools.islice(sample_examples(random.Random("test"), questions), number))


def test_pixels_are_what_the_image_processor_gives(fresh: Model) -> None:
    pixels = [example.pixels for example in examples(3)]
    expected = fresh.image_processor(images=[Image.fromarray(each) for each in pixels], return_tensors="pt")
    given = patches_of(torch.from_numpy(np.stack(pixels)), fresh.image_processor)
    assert torch.equal(given, expected["pixel_values"])


@torch.no_grad()
def test_a_row_computes_what_separate_prompts_would(fresh: Model) -> None:
    together = [examples(2, questions=3)[1], examples(1, questions=1)[0]]  # the second row is padded
    batch = Collator(fresh.tokenizer)(together)
    network, grid = fresh.network, torch.tensor([[1, 8, 8]])
    patches = patches_of(batch.pixels, fresh.image_processor)
    mask = torch.zeros(batch.visible.shape).masked_fill(~batch.visible, -1e9)
    rows = network(
        input_ids=batch.input_ids,
        attention_mask={"full_attention": mask},
        position_ids=batch.position_ids,
        pixel_values=patches,
        image_grid_thw=grid.repeat(2, 1),
    ).logits
    for example, own, row, labels in zip(together, patches.chunk(2), rows, batch.labels.tolist(), strict=True):
        ends = [index for index, label in enumerate(labels) if label != -100][::2]
        for question, end in zip(example.questions, ends, strict=True):
            ids = torch.tensor([prompt_ids(fresh.tokenizer, question.text, CELLS)])
            image = (ids == fresh.tokenizer.convert_tokens_to_ids("<|image_pad|>")).int()
            alone = network(input_ids=ids, pixel_values=own, image_grid_thw=grid, mm_token_type_ids=image).logits
            assert torch.allclose(row[end], alone[0, -1], atol=1e-4)


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
