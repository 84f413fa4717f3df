import itertools
import random

import numpy as np
import pytest
from PIL import Image

from services.matcha.header import render_header, render_text
from services.matcha.header.fonts import load_font
from services.matcha.patches import ROW_LENGTH, flatten_patches, grid_shape
from services.training.tiny_matcha.data.charts import CATEGORY_NAMES
from services.training.tiny_matcha.data.drawing import HEIGHT, WIDTH
from services.training.tiny_matcha.data.kinds import BY_NAME, KINDS
from services.training.tiny_matcha.data.outside import UNSEEN_WORDINGS
from services.training.tiny_matcha.learning.batches import IGNORED, Pool, render
from services.training.tiny_matcha.learning.targets import ChartExamples, Part, target
from services.training.tiny_matcha.model.network import GRID, MAX_PATCHES
from services.training.tiny_matcha.model.tokenizer import EOS, build_tokenizer

SIZE = 24


def sources() -> ChartExamples:
    return ChartExamples(random.Random(0), tuple((KINDS | BY_NAME).values()), {}, further=3)


def test_training_pixels_are_those_of_the_service_to_one_level() -> None:
    examples = list(itertools.islice(sources(), SIZE))
    pool = Pool(SIZE, build_tokenizer(), iter(examples))
    trained_on = pool.draw(np.arange(SIZE)).flattened_patches.numpy()
    for row, example in enumerate(examples):
        canvas = render_header(example.image, example.question.text, load_font(None))
        served = flatten_patches(canvas, MAX_PATCHES)
        one_level = 1 / np.asarray(canvas, dtype=np.float32).std()
        assert served.shape == (GRID[0] * GRID[1], ROW_LENGTH)
        np.testing.assert_array_equal(trained_on[row, :, :2], served[:, :2])
        np.testing.assert_allclose(trained_on[row], served, atol=1.01 * one_level)


def test_every_wording_gives_the_same_grid() -> None:
    longest = max(CATEGORY_NAMES, key=lambda name: render_text(name, load_font(None)).width)
    shortest = min(CATEGORY_NAMES, key=lambda name: render_text(name, load_font(None)).width)
    chart = Image.new("RGB", (WIDTH, HEIGHT))
    kinds = (KINDS | BY_NAME).values()
    wordings = [wording for kind in kinds for wording in kind.wordings] + list(UNSEEN_WORDINGS.values())
    for wording in wordings:
        for word in (longest, shortest, "first"):
            canvas = render_header(chart, wording.format(word, word), load_font(None))
            assert grid_shape(canvas.width, canvas.height, MAX_PATCHES) == GRID, wording


def test_a_question_that_changes_the_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="reword it"):
        render(Image.new("RGB", (WIDTH, HEIGHT)), "Why?")


def test_the_answer_comes_first_and_ends_before_the_teaching_text() -> None:
    tokenizer = build_tokenizer()
    for example, _ in zip(sources(), range(50), strict=False):
        tokens, parts = target(example, tokenizer)
        end = tokens.index(tokenizer.get_vocab()[EOS]) + 1
        assert tokenizer.decode(tokens[:end], skip_special_tokens=True) == example.question.answer
        assert set(parts[:end]) == {Part.ANSWER}
        assert Part.ANSWER not in parts[end:]


def test_labels_and_inputs_are_one_step_apart() -> None:
    tokenizer = build_tokenizer()
    batch = Pool(SIZE, tokenizer, sources()).draw(np.arange(SIZE))
    learnt = batch.answer_labels.clone()
    learnt[learnt == IGNORED] = batch.teaching_labels[learnt == IGNORED]
    assert (batch.decoder_input_ids[:, 0] == 0).all()
    inputs, labels = batch.decoder_input_ids[:, 1:], learnt[:, :-1]
    assert (inputs[labels != IGNORED] == labels[labels != IGNORED]).all()


def test_renewing_replaces_the_oldest_examples_only() -> None:
    pool = Pool(SIZE, build_tokenizer(), sources())
    before = pool.draw(np.arange(SIZE)).flattened_patches
    pool.renew(4)
    after = pool.draw(np.arange(SIZE)).flattened_patches
    assert (before[4:] == after[4:]).all()
    assert not any((one == other).all() for one, other in zip(before[:4], after[:4], strict=True))
    pool.renew(SIZE - 2)  # the other twenty, and the first two again
    last = pool.draw(np.arange(SIZE)).flattened_patches
    kept = [index for index in range(SIZE) if (last[index] == after[index]).all()]
    assert kept == [2, 3]


def test_a_batch_holds_the_rows_that_are_drawn_in_their_order() -> None:
    pool = Pool(SIZE, build_tokenizer(), sources())
    every, rows = pool.draw(np.arange(SIZE)), np.array([7, 2, 7, 19])
    some = pool.draw(rows)
    length = some.decoder_input_ids.shape[1]
    assert (some.flattened_patches == every.flattened_patches[rows]).all()
    assert (some.decoder_input_ids == every.decoder_input_ids[rows, :length]).all()
    for part in ("answer_labels", "teaching_labels"):
        assert (getattr(some, part) == getattr(every, part)[rows, :length]).all()
