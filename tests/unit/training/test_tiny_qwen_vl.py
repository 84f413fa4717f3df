"""The embedded Qwen2-VL: its tokenizer, its batches, its training and the folder that it leaves."""

import itertools
import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from services.common.manifest import verify
from services.training.tiny_qwen_vl.answering import Model, answer
from services.training.tiny_qwen_vl.batches import Collator, Example, prompt_ids, sample_examples
from services.training.tiny_qwen_vl.card import rise_of
from services.training.tiny_qwen_vl.cases import held_out_cases
from services.training.tiny_qwen_vl.evaluate import LayerScore, ask_all, layer_scores, score
from services.training.tiny_qwen_vl.learning import ANSWERING, SEEING, Phase, Settings, Trainer
from services.training.tiny_qwen_vl.naming import look_by_patch, look_of, looks_by_cell
from services.training.tiny_qwen_vl.network import (
    CELLS,
    LinearPatchEmbed,
    build_image_processor,
    build_network,
    patches_of,
)
from services.training.tiny_qwen_vl.questions import all_texts, numeral
from services.training.tiny_qwen_vl.saving import save_model
from services.training.tiny_qwen_vl.scenes import Item, Scene
from services.training.tiny_qwen_vl.tokenizer import SPECIAL_TOKENS, build_tokenizer
from services.training.tiny_qwen_vl.train import train

FOLDER = Path(__file__).parents[3] / "models/tiny-qwen2-vl"
SHORT = Settings(
    seeing=replace(SEEING, steps=1, pictures=2), answering=replace(ANSWERING, steps=2, pictures=2, questions=2)
)


@pytest.fixture(scope="module")
def fresh() -> Model:
    torch.manual_seed(0)
    tokenizer = build_tokenizer()
    return Model(build_network(tokenizer).eval(), tokenizer, build_image_processor())


@pytest.fixture(scope="module")
def embedded() -> Model:
    return Model.load(FOLDER)


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = trainer.model.network.state_dict()
    return state


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the training command leaves, with seed 5, where a folder was before."""
    out = tmp_path_factory.mktemp("trained") / "model"
    out.mkdir()
    (out / "stale").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("services.training.tiny_qwen_vl.train._CHECKPOINT_PER_CELL", 1)
        train(out, seed=5, settings=SHORT, cases_per_cell=1)
    return out


def examples(number: int, questions: int = 3) -> list[Example]:
    return list(itertools.islice(sample_examples(random.Random("test"), questions), number))


class TestTokenizer:
    @pytest.mark.parametrize("character", "0123456789零一二两三四五")
    def test_a_numeral_is_one_token(self, fresh: Model, character: str) -> None:
        assert len(fresh.tokenizer(character)["input_ids"]) == 1

    def test_no_token_holds_two_han_characters(self, fresh: Model) -> None:
        pieces = [fresh.tokenizer.decode([token]) for token in range(len(fresh.tokenizer))]
        assert not [piece for piece in pieces if sum("\u4e00" <= character <= "\u9fff" for character in piece) > 1]

    def test_special_tokens_have_the_real_names(self, fresh: Model) -> None:
        for token in SPECIAL_TOKENS:
            assert fresh.tokenizer(token)["input_ids"] == [fresh.tokenizer.convert_tokens_to_ids(token)]
        assert fresh.tokenizer.eos_token == "<|im_end|>"  # noqa: S105 not a secret

    def test_the_chat_template_renders_the_real_prompt(self, fresh: Model) -> None:
        parts = [{"type": "image"}, {"type": "text", "text": "How many?"}]
        prompt = fresh.tokenizer.apply_chat_template(
            [{"role": "user", "content": parts}], tokenize=False, add_generation_prompt=True
        )
        assert prompt == (
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
            "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>How many?<|im_end|>\n"
            "<|im_start|>assistant\n"
        )

    def test_a_given_system_message_takes_the_place_of_the_usual_one(self, fresh: Model) -> None:
        messages = [{"role": "system", "content": "Count."}, {"role": "user", "content": "Go."}]
        prompt = fresh.tokenizer.apply_chat_template(messages, tokenize=False)
        assert prompt == "<|im_start|>system\nCount.<|im_end|>\n<|im_start|>user\nGo.<|im_end|>\n"

    def test_tokenizers_alone_reads_the_saved_file(self, fresh: Model) -> None:
        alone = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
        loaded = AutoTokenizer.from_pretrained(FOLDER)
        assert type(loaded).__name__.startswith("Qwen2Tokenizer")
        for text in [*all_texts(), "<|im_start|>user\nHow many 图形？ <|im_end|>", "naïve ☃ 12三"]:
            assert alone.encode(text).ids == loaded(text)["input_ids"] == fresh.tokenizer(text)["input_ids"]


class TestBatches:
    def test_pixels_are_what_the_image_processor_gives(self, fresh: Model) -> None:
        pixels = [example.pixels for example in examples(3)]
        expected = fresh.image_processor(images=[Image.fromarray(each) for each in pixels], return_tensors="pt")
        given = patches_of(torch.from_numpy(np.stack(pixels)), fresh.image_processor)
        assert torch.equal(given, expected["pixel_values"])

    @torch.no_grad()
    def test_a_row_computes_what_separate_prompts_would(self, fresh: Model) -> None:
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

    def test_every_question_is_labelled_with_its_answer_and_an_end(self, fresh: Model) -> None:
        example = examples(1, questions=4)[0]
        labels = [label for label in Collator(fresh.tokenizer)([example]).labels[0].tolist() if label != -100]
        words = fresh.tokenizer.batch_decode([[label] for label in labels])
        assert words[::2] == [numeral(question.answer, question.language) for question in example.questions]
        assert words[1::2] == ["<|im_end|>"] * 4

    def test_names_stand_where_the_item_is(self) -> None:
        item = Item("blue", "star", (0, 0, 200), x=98.0, y=14.0, radius=12.0, angle=0.0)
        scene = Scene((255, 255, 255), (item,))
        assert look_of(item) == 2 * 6 + 3  # the third colour of six, the fourth shape
        assert looks_by_cell(scene).nonzero().tolist() == [[3, 15]]
        assert set(look_by_patch(scene)[12:].tolist()[:4]) == {16}  # 0 is nothing
        assert look_by_patch(scene).nonzero().flatten().tolist() == [12, 13, 14, 15]  # the four patches of cell 3


class TestNetwork:
    def test_the_linear_patch_embedding_is_the_convolution(self, fresh: Model) -> None:
        original, patches = fresh.network.model.visual.patch_embed, torch.randn(5, 1176)
        assert torch.allclose(LinearPatchEmbed(original.proj)(patches), original(patches), atol=1e-4)

    @pytest.mark.parametrize("side", [28, 56, 90, 100, 112, 113, 126, 150, 224, 300, 512, 1000])
    def test_a_square_of_any_size_becomes_the_trained_grid(self, side: int) -> None:
        grid = build_image_processor()(images=[Image.new("RGB", (side, side))], return_tensors="pt")["image_grid_thw"]
        assert grid.tolist() == [[1, 8, 8]]


class TestTraining:
    def test_pictures_get_fuller_along_the_curriculum(self) -> None:
        phase = Phase(10, 1, 1, 1.0, ((0.1, 2), (0.5, 4)))
        assert [phase.max_items(progress) for progress in (0.0, 0.1, 0.49, 0.5, 1.0)] == [2, 4, 4, 7, 7]

    def test_the_same_seed_gives_the_same_weights(self, trained: Path, tmp_path: Path) -> None:
        trainer = Trainer(replace(SHORT, seed=5))
        assert [step.number for step in trainer.run()] == [1, 2, 3]
        save_model(trainer.model, tmp_path)
        assert (tmp_path / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()

    def test_another_seed_gives_other_weights_and_other_pictures(self) -> None:
        """Before the first step, and so after it."""
        one, other = (Trainer(replace(SHORT, seed=seed)) for seed in (1, 2))
        assert not all(torch.equal(tensor, weights(other)[name]) for name, tensor in weights(one).items())
        drawn = [trainer._batch(SHORT.answering, 1.0).pixels for trainer in (one, other)]  # noqa: SLF001 nothing else shows it
        assert not torch.equal(*drawn)

    def test_the_command_leaves_a_whole_folder_in_place_of_the_old_one(self, trained: Path) -> None:
        assert verify(trained, "Qwen2VLForConditionalGeneration").source.revision == "seed-5"
        assert {path.name for path in trained.iterdir()} == {path.name for path in FOLDER.iterdir()}
        assert [path.name for path in trained.parent.iterdir()] == ["model"]
        assert len(answer(Model.load(trained), [Image.new("RGB", (64, 200))], ["How many?"])) == 1

    def test_the_rise_of_the_lens_is_told_by_its_steps(self) -> None:
        """From 5 to 65; a step of 3 points counts, one of 2.9 does not, and one down is none."""
        told = [5.0, 15, 45, 47.9, 50.9, 50, 65]
        rise = rise_of(tuple(LayerScore(index, accuracy, 0.0, 0.0) for index, accuracy in enumerate(told)))
        assert (rise.total, rise.largest_step, rise.largest_share) == (60.0, 30.0, 50.0)
        assert rise.rising_layers == 4


class TestEmbeddedModel:
    def test_it_is_whole_and_small(self) -> None:
        verify(FOLDER, "Qwen2VLForConditionalGeneration")
        assert (FOLDER / "model.safetensors").stat().st_size <= 12 * 2**20

    def test_it_answers_held_out_questions_in_their_language(self, embedded: Model) -> None:
        assert score(ask_all(embedded, held_out_cases(per_cell=5))).accuracy >= 85

    def test_its_lens_rises_layer_by_layer(self, embedded: Model) -> None:
        rise = rise_of(layer_scores(ask_all(embedded, held_out_cases(per_cell=5))))
        assert rise.rising_layers >= 4
        assert rise.largest_share <= 50

    def test_its_card_tells_the_recorded_figures(self) -> None:
        recorded = json.loads((FOLDER / "eval.json").read_text(encoding="utf-8"))["results"]
        card = (FOLDER / "README.md").read_text(encoding="utf-8")
        assert f"| **held-out set** | {recorded['overall']['accuracy']:.1f} |" in card
