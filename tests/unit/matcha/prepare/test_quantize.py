"""A small encoder of two layers gives the same results after being quantized and split."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from services.matcha.backends.decoding import Arrays
from services.matcha.backends.onnx_names import CROSS_ATTENTION, DECODER_WITH_PAST, ENCODER, encoder_piece
from services.matcha.patches import Floats
from services.matcha.prepare.encoder_pieces import split
from services.matcha.prepare.quantize_onnx import fuse_attention, quantize

HIDDEN, HEADS, WIDTH, LAYERS, INPUT = 18, 3, 6, 2, 7
"""Wide enough for the products' weights to lie beside their graph, as those of a real one do."""
PATCHES = np.random.default_rng(1).normal(size=(1, 9, INPUT)).astype(np.float32)


def weight(name: str, rows: int, columns: int, seed: int) -> onnx.TensorProto:
    return numpy_helper.from_array(
        np.random.default_rng(seed).normal(size=(rows, columns), scale=0.4).astype(np.float32), name
    )


def encoder(scale: float = 1.0) -> onnx.ModelProto:
    """Two layers of attention with a residual around each, as ``export`` writes them."""
    nodes = [helper.make_node("MatMul", ["flattened_patches", "project"], ["state0"])]
    weights = [weight("project", INPUT, HIDDEN, 0)]
    weights.append(numpy_helper.from_array(np.array([0, 0, HEADS, WIDTH]), "apart"))
    weights.append(numpy_helper.from_array(np.array([0, 0, HIDDEN]), "together"))
    known = []
    for layer in range(LAYERS):
        for index, role in enumerate("qkv"):
            name = f"{role}{layer}"
            weights.append(weight(f"w{name}", HIDDEN, HIDDEN, 10 * layer + index + 1))
            nodes += [
                helper.make_node("MatMul", [f"state{layer}", f"w{name}"], [name]),
                helper.make_node("Reshape", [name, "apart"], [f"{name}.apart"]),
                helper.make_node("Transpose", [f"{name}.apart"], [f"{name}.heads"], perm=[0, 2, 1, 3]),
            ]
        shape: list[str | int | None] = [1, HEADS, "patches", WIDTH]
        known.append(helper.make_tensor_value_info(f"q{layer}.heads", TensorProto.FLOAT, shape))
        states = [f"{role}{layer}" for role in ("q", "k", "v", "out")] + [f"seen{layer}.whole"]
        known += [helper.make_tensor_value_info(each, TensorProto.FLOAT, [1, "patches", HIDDEN]) for each in states]
        heads = [f"{role}{layer}.heads" for role in "qkv"]
        nodes += [
            helper.make_node("Attention", heads, [f"seen{layer}"], name=f"attention{layer}", scale=scale),
            helper.make_node("Transpose", [f"seen{layer}"], [f"seen{layer}.back"], perm=[0, 2, 1, 3]),
            helper.make_node("Reshape", [f"seen{layer}.back", "together"], [f"seen{layer}.whole"]),
            helper.make_node("MatMul", [f"seen{layer}.whole", f"o{layer}"], [f"out{layer}"]),
            helper.make_node("Add", [f"out{layer}", f"state{layer}"], [f"state{layer + 1}"]),
        ]
        weights.append(weight(f"o{layer}", HIDDEN, HIDDEN, 10 * layer + 9))
    graph = helper.make_graph(
        nodes,
        "encoder",
        [
            helper.make_tensor_value_info("flattened_patches", TensorProto.FLOAT, [1, "patches", INPUT]),
            helper.make_tensor_value_info("attention_mask", TensorProto.INT64, [1, "patches"]),
        ],
        [helper.make_tensor_value_info(f"state{LAYERS}", TensorProto.FLOAT, [1, "patches", HIDDEN])],
        weights,
        value_info=known,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)


def product(rows: int, columns: int, name: str) -> onnx.ModelProto:
    """One matrix product, the building block of the decoder's graphs."""
    shapes: dict[str, list[str | int | None]] = {"in": [1, "length", rows], "out": [1, "length", columns]}
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, shape) for end, shape in shapes.items()]
    node = helper.make_node("MatMul", ["in", "w"], ["out"], name=name)
    graph = helper.make_graph([node], name, ends[:1], ends[1:], [weight("w", rows, columns, 77)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)


def run(model: onnx.ModelProto | Path, feeds: Arrays) -> list[Floats]:
    session = ort.InferenceSession(str(model) if isinstance(model, Path) else model.SerializeToString())
    needed = {each.name for each in session.get_inputs()}
    given: list[Floats] = session.run(None, {name: array for name, array in feeds.items() if name in needed})
    return given


def attend(query: Floats, key: Floats, value: Floats) -> Floats:
    q, k, v = (torch.from_numpy(each).reshape(1, -1, HEADS, WIDTH).transpose(1, 2) for each in (query, key, value))
    attended = torch.nn.functional.scaled_dot_product_attention(q, k, v, scale=1.0)
    together: Floats = attended.transpose(1, 2).flatten(2).numpy()
    return together


def through_pieces(folder: Path) -> Floats:
    outputs = run(folder / encoder_piece(0), {"flattened_patches": PATCHES})
    for index in range(1, LAYERS + 1):
        session = ort.InferenceSession(str(folder / encoder_piece(index)))
        names = [each.name for each in session.get_inputs()]
        query, key, value, residual = outputs
        outputs = session.run(None, dict(zip(names, (residual, attend(query, key, value)), strict=True)))
    (states,) = outputs
    return states


def error(given: Floats, expected: Floats) -> float:
    return float(np.linalg.norm(given - expected) / np.linalg.norm(expected))


def operators(model: onnx.ModelProto | Path) -> list[str]:
    graph = (onnx.load(str(model)) if isinstance(model, Path) else model).graph
    return sorted(node.op_type for node in graph.node)


FEEDS: Arrays = {"flattened_patches": PATCHES, "attention_mask": np.ones((1, 9), dtype=np.int64)}
EXPECTED = run(encoder(), FEEDS)[0]


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_fused_attention_computes_the_same_without_a_mask(scale: float) -> None:
    (expected,) = run(encoder(scale), FEEDS)
    fused = encoder(scale)
    fuse_attention(fused)
    assert error(run(fused, {"flattened_patches": PATCHES})[0], expected) < 1e-5
    assert operators(fused) == ["Add"] * LAYERS + ["MatMul"] * (4 * LAYERS + 1) + ["MultiHeadAttention"] * LAYERS
    assert [each.name for each in fused.graph.input] == ["flattened_patches"]
    assert {each.name for each in fused.graph.initializer}.isdisjoint({"apart", "together"})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda graph: graph.node[3].CopyFrom(helper.make_node("Identity", ["q0.apart"], ["q0.heads"])),
            "expected T",
        ),
        (lambda graph: graph.node[2].CopyFrom(helper.make_node("Identity", ["q0"], ["q0.apart"])), "expected Reshape"),
        (
            lambda graph: graph.node[12].CopyFrom(helper.make_node("Identity", ["seen0.back"], ["seen0.whole"])),
            "attention0 is followed by Identity, expected Reshape",
        ),
        (lambda graph: graph.value_info.pop(0), "the width of q0.heads is unknown"),
    ],
    ids=["no transposing", "no heads", "no putting together", "no width"],
)
def test_a_graph_of_another_make_is_refused(change: object, reason: str) -> None:
    model = encoder()
    change(model.graph)  # type: ignore[operator]
    with pytest.raises(ValueError, match=reason):
        fuse_attention(model)


class TestSplit:
    @pytest.fixture
    def fused(self, tmp_path: Path) -> Path:
        model = encoder()
        fuse_attention(model)
        onnx.save(model, str(tmp_path / ENCODER))
        return tmp_path

    def test_the_pieces_are_the_encoder(self, fused: Path) -> None:
        split(fused / ENCODER)
        assert sorted(path.name for path in fused.iterdir()) == [
            ENCODER,
            *(encoder_piece(index) for index in range(LAYERS + 1)),
        ]
        assert error(through_pieces(fused), EXPECTED) < 1e-5

    def test_no_piece_computes_what_another_does(self, fused: Path) -> None:
        split(fused / ENCODER)
        found = [operators(fused / encoder_piece(index)) for index in range(LAYERS + 1)]
        assert found == [["MatMul"] * 4, ["Add"] + ["MatMul"] * 4, ["Add", "MatMul"]]
        first = onnx.load(str(fused / encoder_piece(0)))
        assert {each.name for each in first.graph.initializer} == {"project", "wq0", "wk0", "wv0"}

    def test_more_than_one_tensor_beside_an_attention_is_refused(self, fused: Path) -> None:
        model = onnx.load(str(fused / ENCODER))
        last = model.graph.node[-1]
        last.output[0] = "almost"
        model.graph.node.append(helper.make_node("Add", ["almost", "state0"], [f"state{LAYERS}"]))
        onnx.save(model, str(fused / ENCODER))
        with pytest.raises(ValueError, match="bypass attention1, expected one residual"):
            split(fused / ENCODER)

    def test_a_scaled_attention_is_refused(self, tmp_path: Path) -> None:
        model = encoder(0.5)
        fuse_attention(model)
        onnx.save(model, str(tmp_path / ENCODER))
        with pytest.raises(ValueError, match="scales its attentions"):
            split(tmp_path / ENCODER)
        assert [path.name for path in tmp_path.iterdir()] == [ENCODER]


class TestQuantize:
    @pytest.fixture
    def folders(self, tmp_path: Path) -> tuple[Path, Path]:
        source, target = tmp_path / "source", tmp_path / "target"
        source.mkdir()
        target.mkdir()
        onnx.save(encoder(), str(source / ENCODER))
        onnx.save(product(HIDDEN, 20, "cross"), str(source / CROSS_ATTENTION))
        onnx.save(product(256, 30, "step"), str(source / DECODER_WITH_PAST))
        quantize(source, target, [])
        return source, target

    def test_nothing_is_left_but_the_graphs_and_their_weights(self, folders: tuple[Path, Path]) -> None:
        graphs = [CROSS_ATTENTION, DECODER_WITH_PAST, ENCODER]
        pieces = [encoder_piece(index) for index in range(LAYERS + 1)]
        names = {path.name for path in folders[1].iterdir()}
        assert names - {f"{name}.data" for name in graphs} == {*graphs, *pieces}

    @pytest.mark.parametrize(("name", "products"), [(ENCODER, 4 * LAYERS + 1), (CROSS_ATTENTION, 1)])
    def test_what_is_computed_once_multiplies_int8_by_int8_a_scale_per_column(
        self, name: str, products: int, folders: tuple[Path, Path]
    ) -> None:
        """Checked on the weights, not on results: on a processor without VNNI, sums of such products saturate."""
        found = operators(folders[1] / name)
        assert (found.count("MatMulInteger"), found.count("MatMul")) == (products, 0)
        exact, quantized = (
            {each.name: numpy_helper.to_array(each) for each in onnx.load(str(folder / name)).graph.initializer}
            for folder in folders
        )
        weights = {key: array for key, array in exact.items() if array.ndim > 1}
        assert len(weights) == products
        for key, array in weights.items():
            integers, scale = quantized[f"{key}_quantized"], quantized[f"{key}_scale"]
            assert integers.dtype == np.int8
            assert scale.shape == array.shape[1:]
            assert (np.abs(integers * scale - array) <= scale * 0.501).all()

    def test_a_decoding_step_has_int8_weights_in_blocks(self, folders: tuple[Path, Path]) -> None:
        source, target = (folder / DECODER_WITH_PAST for folder in folders)
        (node,) = onnx.load(str(target)).graph.node
        assert node.op_type == "MatMulNBits"
        told = {attribute.name: attribute.i for attribute in node.attribute}
        assert (told["bits"], told["block_size"], told["accuracy_level"]) == (8, 128, 4)
        assert len(node.input) == 3  # no zero points: symmetric
        feeds = {"in": np.random.default_rng(5).normal(size=(1, 3, 256)).astype(np.float32)}
        assert 1e-5 < error(run(target, feeds)[0], run(source, feeds)[0]) < 0.02
