"""Decoding over fake graphs that check their inputs and answer each image by a script."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.matcha.backends.decoding import Arrays, GraphModel
from services.matcha.patches import Floats

LAYERS, HEADS, WIDTH = 3, 2, 5
START, EOS = 7, 9
TEXT = {"num_layers": LAYERS, "num_heads": HEADS, "d_kv": WIDTH, "decoder_start_token_id": START, "eos_token_id": EOS}
VISION = {"seq_len": 40, "num_attention_heads": 4, "d_kv": 6}
NEXT, FIRST, CROSS, ENCODER = "decoder_with_past_model", "decoder_model", "cross_attention_model", "encoder_model"


def marks(numbers: list[int], attention: str, length: int) -> dict[str, NDArray[np.float32]]:
    """Keys and values (B, heads, length, width) that differ by image, layer, attention, kind, and position."""
    found = {}
    for layer in range(LAYERS):
        for kind in ("key", "value"):
            base = 100 * layer + 20 * (attention == "decoder") + 10 * (kind == "key")
            rows = [np.full((HEADS, length, WIDTH), 1000 * number + base, dtype=np.float32) for number in numbers]
            steps = np.arange(length, dtype=np.float32)[:, None] / np.float32(100)
            found[f"{layer}.{attention}.{kind}"] = (np.stack(rows) + steps).astype(np.float32)
    return found


def named(prefix: str, states: dict[str, NDArray[np.float32]]) -> Arrays:
    return {f"{prefix}.{name}": state for name, state in states.items()}


@dataclass
class Toy:
    """A fake runtime: an image's number is in its first pixel, ``scripts`` has its tokens."""

    scripts: dict[int, list[int]]
    limits: dict[int, int] = field(default_factory=dict)
    fixed_patches: int | None = None
    loaded: list[str] = field(default_factory=list)
    ran: list[tuple[str, int]] = field(default_factory=list)
    shapes: list[tuple[int, int]] = field(default_factory=list)
    patches: dict[int, int] = field(default_factory=dict)

    def __call__(self, path: Path) -> "ToyGraph":
        self.loaded.append(path.name)
        return ToyGraph(self, path.stem, self.fixed_patches if path.stem == ENCODER else None)

    def logits(self, numbers: list[int], step: int) -> NDArray[np.float32]:
        rows = np.zeros((len(numbers), 1, 10), dtype=np.float32)
        for row, number in zip(rows, numbers, strict=True):
            row[0, (self.scripts[number] + [EOS] * 99)[step]] = 1
        return rows


@dataclass
class ToyGraph:
    toy: Toy
    name: str
    fixed_patches: int | None

    def __call__(self, inputs: Arrays) -> Arrays:
        outputs: Arrays = getattr(self, f"_{self.name.removesuffix('_model')}")(inputs)
        return outputs

    def _encoder(self, inputs: Arrays) -> Arrays:
        (mask,) = inputs["attention_mask"]
        (patches,) = inputs["flattened_patches"]
        assert mask.dtype == np.int64
        assert mask.tolist() == patches[:, 0].astype(bool).tolist()  # row ids: only real patches
        self.toy.shapes.append((len(mask), int(mask.sum())))
        self.toy.patches[int(patches[0, 2])] = int(mask.sum())
        return {"last_hidden_state": patches[None, :, 2:3]}

    def _cross_attention(self, inputs: Arrays) -> Arrays:
        (states,) = inputs["encoder_hidden_states"]
        return named("present", marks([int(states[0, 0])], attention="encoder", length=len(states)))

    def _decoder(self, inputs: Arrays) -> Arrays:
        assert inputs["input_ids"].tolist() == [[START]]
        assert inputs["attention_mask"].tolist() == [[1]]
        assert inputs["encoder_attention_mask"].shape == inputs["encoder_hidden_states"].shape[:2]
        number = int(inputs["encoder_hidden_states"][0, 0, 0])
        seen = self._cross_attention(inputs)
        return {
            "logits": self.toy.logits([number], 0),
            **named("present", marks([number], attention="decoder", length=1)),
            **seen,
        }

    def _decoder_with_past(self, inputs: Arrays) -> Arrays:
        mask = inputs["encoder_attention_mask"]
        numbers = [int(each) // 1000 for each in inputs["past_key_values.0.encoder.key"][:, 0, 0, 0]]
        step = inputs["past_key_values.0.decoder.key"].shape[2]
        self.toy.ran.append((self.name, len(numbers)))
        for row, number in zip(mask, numbers, strict=True):
            real = self.toy.patches[number]
            assert row.tolist() == [1] * real + [0] * (len(row) - real)
        for name, state in named("past_key_values", marks(numbers, attention="decoder", length=step)).items():
            assert np.array_equal(inputs[name], state), name
            assert inputs[name].dtype == np.float32, name  # runtimes take no other, even for nothing
        for name, state in named("past_key_values", marks(numbers, attention="encoder", length=mask.shape[1])).items():
            kept = mask[:, None, :, None].astype(bool)
            assert np.array_equal(np.where(kept, inputs[name], 0), np.where(kept, state, 0)), name
            assert not np.where(kept, 0, inputs[name]).any() or self.toy.fixed_patches, name
        before = self.toy.logits(numbers, step - 1)[:, 0].argmax(axis=1) if step else [START]
        for (given_id,), number, token in zip(inputs["input_ids"], numbers, before, strict=True):
            ended = step >= self.toy.limits.get(number, 99) or EOS in self.toy.scripts[number][:step]
            assert ended or given_id == token  # once it has ended, anything may follow
        assert inputs["input_ids"].dtype == inputs["attention_mask"].dtype == np.int64
        assert inputs["attention_mask"].tolist() == [[1] * (step + 1)] * len(numbers)
        return {
            "logits": self.toy.logits(numbers, step),
            **named("present", marks(numbers, attention="decoder", length=step + 1)),
        }


@pytest.fixture(scope="module", params=[FIRST, CROSS], ids=["as Optimum exports", "as we export"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("graphs")
    (made / "config.json").write_text(json.dumps({"text_config": TEXT, "vision_config": VISION}))
    if request.param == CROSS:
        (made / f"{CROSS}.onnx").touch()
    return made


def image(number: int, patches: int) -> Floats:
    rows = np.full((patches, 770), 1, dtype=np.float32)
    rows[:, 2] = number
    return rows


def test_each_answer_of_a_batch_ends_by_itself(folder: Path) -> None:
    toy = Toy({1: [3, EOS], 2: [4, 5, 6, 3, 2], 3: [EOS], 4: [2, 3, EOS]}, {2: 4})
    images = [image(1, 6), image(2, 2), image(3, 11), image(4, 4)]
    assert GraphModel(folder, toy).generate(images, [9, 4, 9, 3]) == [[3, EOS], [4, 5, 6, 3], [EOS], [2, 3, EOS]]
    assert toy.ran[-3:] == [(NEXT, 4)] * 3  # all together, and no more steps than the longest answer needs
    assert toy.shapes == [(6, 6), (2, 2), (11, 11), (4, 4)]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    asked=st.lists(
        st.tuples(st.integers(1, 12), st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 7)),
        min_size=1,
        max_size=5,
    )
)
def test_whatever_shares_a_batch_each_answer_is_its_script_up_to_its_end_or_limit(
    folder: Path, asked: list[tuple[int, list[int], int]]
) -> None:
    scripts = {number: script for number, (_, script, _) in enumerate(asked, start=1)}
    images = [image(number, patches) for number, (patches, _, _) in enumerate(asked, start=1)]
    limits = [limit for *_, limit in asked]
    ended = [[*script, EOS] for _, script, _ in asked]
    expected = [ids[: min(ids.index(EOS) + 1, limit)] for ids, limit in zip(ended, limits, strict=True)]
    assert GraphModel(folder, Toy(scripts, dict(enumerate(limits, start=1)))).generate(images, limits) == expected


@pytest.mark.parametrize(("patches", "fed"), [(3, (8, 3)), (7, (8, 7)), (8, (8, 8))])
def test_graphs_bound_to_a_number_of_patches_get_as_many_the_rest_masked(
    folder: Path, patches: int, fed: tuple[int, int]
) -> None:
    toy = Toy({5: [4, 3, EOS], 6: [2, EOS]}, fixed_patches=8)
    model = GraphModel(folder, toy)
    assert model.fixed_patches == 8
    assert model.generate([image(5, patches), image(6, 1)], [9, 9]) == [[4, 3, EOS], [2, EOS]]
    assert model.generate([image(5, patches)], [9]) == [[4, 3, EOS]]
    assert toy.shapes == [fed, (8, 1), fed]


def test_only_graphs_that_are_run_are_loaded(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"text_config": TEXT, "vision_config": VISION}))
    optimums, ours, other = Toy({}), Toy({}), Toy({})
    model = GraphModel(tmp_path, optimums)
    assert sorted(optimums.loaded) == [f"{FIRST}.onnx", f"{NEXT}.onnx", f"{ENCODER}.onnx"]
    assert (model.positions, model.end_token_ids, model.fixed_patches) == (40, (EOS,), None)
    (tmp_path / f"{CROSS}.onnx").touch()
    GraphModel(tmp_path, ours)
    assert sorted(ours.loaded) == [f"{CROSS}.onnx", f"{NEXT}.onnx", f"{ENCODER}.onnx"]
    GraphModel(tmp_path, other, ".xml")
    assert sorted(other.loaded) == [f"{FIRST}.xml", f"{NEXT}.xml", f"{ENCODER}.xml"]


def test_an_answer_ends_with_any_of_the_ends(folder: Path) -> None:
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [EOS, 2]}))
    model = GraphModel(folder, Toy({5: [4, 2, 3, EOS], 6: [4, 3, EOS, 2]}))
    assert model.generate([image(5, 3)], [9]) == [[4, 2]]
    assert model.generate([image(6, 1)], [9]) == [[4, 3, EOS]]
