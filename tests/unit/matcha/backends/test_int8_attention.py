"""int8 attention against PyTorch's in double precision, and the two encoders that use it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray
from onnx import helper

from services.common.cpu import instructions
from services.matcha import attention as int8
from services.matcha.attention import INSTRUCTIONS, KERNEL, Int8Attention
from services.matcha.backends import Hardware, onnx_backend, openvino_backend
from services.matcha.backends.decoding import Arrays, GraphModel
from services.matcha.backends.onnx_names import ENCODER, encoder_piece
from services.matcha.patches import Floats
from services.matcha.prepare.encoder_pieces import split

computes = pytest.mark.skipif(not instructions() >= INSTRUCTIONS, reason="this processor lacks the instructions")
Loader = Callable[[Path, Hardware, str], GraphModel]


def exact(query: Floats, key: Floats, value: Floats, heads: int, scale: float) -> NDArray[np.float64]:
    def apart(states: Floats) -> torch.Tensor:
        return torch.from_numpy(states).double().reshape(1, states.shape[1], heads, -1).transpose(1, 2)

    attended = torch.nn.functional.scaled_dot_product_attention(apart(query), apart(key), apart(value), scale=scale)
    together: NDArray[np.float64] = attended.transpose(1, 2).flatten(2).numpy()
    return together


def error(query: Floats, key: Floats, value: Floats, heads: int, scale: float = 1.0) -> float:
    """Of the kernel's result, relative to the standard deviation of the exact one."""
    given = np.full_like(query, np.nan)
    Int8Attention(heads, threads=2)(query, key, value, given, scale)
    expected = exact(query, key, value, heads, scale)
    spread = expected - value.mean(axis=1, keepdims=True) if query.shape[1] > 1 else expected
    return float(np.linalg.norm(given - expected) / np.linalg.norm(spread))


def drawn(patches: int, hidden: int, seed: int = 0) -> list[Floats]:
    numbers = np.random.default_rng(seed)
    return [numbers.normal(size=(1, patches, hidden)).astype(np.float32) for _ in range(3)]


def test_the_kernel_was_built() -> None:
    assert KERNEL.is_file(), "run make install"


@computes
class TestKernel:
    @pytest.mark.parametrize("width", [16, 32, 48, 64])
    @pytest.mark.parametrize("patches", [2, 5, 16, 37, 64, 90, 500])
    def test_it_is_softmax_attention(self, patches: int, width: int) -> None:
        query, key, value = drawn(patches, 3 * width)
        assert error(query, key, value, heads=3, scale=width**-0.5) < 0.04

    def test_one_patch_attends_to_itself(self) -> None:
        query, key, value = drawn(1, 64)
        assert error(query, key, value, heads=1) < 1e-6

    def test_what_all_keys_and_all_values_share_costs_no_accuracy(self) -> None:
        query, key, value = drawn(300, 128)
        shared = np.random.default_rng(1).normal(size=(2, 1, 1, 128)).astype(np.float32) * 30
        assert error(query, key + shared[0], value + shared[1], heads=2, scale=0.1) < 0.03

    def test_a_flat_row_keeps_its_weights(self) -> None:
        """Each of 2048 normalized weights is an eighth of a step of 8 bits."""
        query, key, value = drawn(2048, 64)
        assert error(query * 0.01, key, value, heads=1) < 0.2  # of what remains after most of the values cancel out

    def test_a_long_tail_of_small_weights_keeps_its_sum(self) -> None:
        """One weight is 1, two thousand are 1/700, a third of a step: rounding to nearest would lose them."""
        patches, width = 2001, 16
        query, key, value = (np.zeros((1, patches, width), dtype=np.float32) for _ in range(3))
        query[..., 0], key[:, 0, 0], value[:, 1:, 3] = 1, np.log(700), 1
        given = np.empty_like(query)
        Int8Attention(1, threads=1)(query, key, value, given)
        tail = (patches - 1) / 700
        assert given[0, :, 3] == pytest.approx(tail / (1 + tail), rel=0.02)

    def test_threads_and_chance_change_nothing(self) -> None:
        query, key, value = drawn(200, 128)
        given = [np.empty_like(query) for _ in range(3)]
        for out, threads in zip(given, (1, 2, 3), strict=True):
            Int8Attention(2, threads)(query, key, value, out)
        assert np.array_equal(given[0], given[1])
        assert np.array_equal(given[0], given[2])

    @pytest.mark.parametrize(
        "spoiled",
        [
            lambda query: query.astype(np.float64),
            lambda query: query[:, ::2],
            lambda query: query[:, :0],
            lambda query: np.ascontiguousarray(query[..., :40]),
            lambda query: np.repeat(query, 2, axis=0),
        ],
        ids=["float64", "strides", "no patches", "width 20", "two images"],
    )
    def test_what_it_cannot_read_is_refused(self, spoiled: Callable[[Floats], Floats]) -> None:
        query = spoiled(drawn(6, 64)[0])
        with pytest.raises(ValueError, match="attention"):
            Int8Attention(2, threads=1)(query, query, query, query.copy(order="K"))


class TestFinding:
    def test_without_the_kernel_the_runtimes_own_is_used(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(int8, "KERNEL", tmp_path / "kernel.so")
        with caplog.at_level("INFO"):
            assert Int8Attention.find(heads=2, width=32, threads=1) is None
        assert "not built" in caplog.text

    def test_without_the_instructions_too(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(int8, "instructions", lambda: INSTRUCTIONS - {"avx512_vnni"})
        with caplog.at_level("INFO"):
            assert Int8Attention.find(heads=2, width=32, threads=1) is None
        assert "lacks avx512_vnni" in caplog.text

    @computes
    def test_heads_of_another_width_too(self) -> None:
        assert Int8Attention.find(heads=2, width=80, threads=1) is None
        assert Int8Attention.find(heads=2, width=64, threads=1) is not None


@computes
@pytest.mark.parametrize(("name", "load"), [("onnx-int8", onnx_backend.load), ("openvino-int8", openvino_backend.load)])
def test_an_encoder_computes_the_same_with_it(
    name: str, load: Loader, artifact: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[int] = []
    attend = Int8Attention.__call__

    def counted(self: Int8Attention, query: Floats, key: Floats, value: Floats, out: Floats) -> None:
        used.append(query.shape[1])
        attend(self, query, key, value, out)

    rows = np.random.default_rng(0).normal(size=(70, 770)).astype(np.float32)
    rows[:, :2] = np.stack([np.repeat(np.arange(1, 8), 10), np.tile(np.arange(1, 11), 7)], axis=1)
    inputs: Arrays = {"flattened_patches": rows[None], "attention_mask": np.ones((1, 70), dtype=np.int64)}
    states = []
    monkeypatch.setattr(Int8Attention, "__call__", counted)
    for kernel in (KERNEL, Path("/nowhere")):
        monkeypatch.setattr(int8, "KERNEL", kernel)
        model = load(artifact(name), Hardware(threads=1), name)
        states.append(model._encoder(inputs)["last_hidden_state"])  # noqa: SLF001 nothing else shows it
    assert used == [70] * 4  # once per layer, and not without the kernel
    with_it, without = (each.ravel().astype(np.float64) for each in states)
    assert with_it @ without / np.linalg.norm(with_it) / np.linalg.norm(without) > 0.995


class TestSplit:
    def test_the_pieces_are_the_encoder(self, artifact: Callable[[str], Path]) -> None:
        """With exact attention in between they match the whole, up to rounding and int8 steps."""
        folder = artifact("onnx-int8")
        rows = np.random.default_rng(0).normal(size=(1, 12, 770)).astype(np.float32)
        rows[0, :, :2] = 1
        (whole,) = ort.InferenceSession(str(folder / ENCODER)).run(None, {"flattened_patches": rows})
        outputs = [rows]
        for index in range(5):
            session = ort.InferenceSession(str(folder / encoder_piece(index)))
            names = [each.name for each in session.get_inputs()]
            if index:
                query, key, value, residual = outputs
                outputs = [residual, exact(query, key, value, 4, 1.0).astype(np.float32)]
            outputs = session.run(None, dict(zip(names, outputs, strict=True)))
        assert np.linalg.norm(outputs[0] - whole) / np.linalg.norm(whole) < 0.01

    def test_an_attention_that_is_scaled_is_refused(self, artifact: Callable[[str], Path], tmp_path: Path) -> None:
        model = onnx.load(str(artifact("onnx-int8") / ENCODER), load_external_data=False)
        node = next(each for each in model.graph.node if each.op_type == "MultiHeadAttention")
        del node.attribute[:]
        node.attribute.append(helper.make_attribute("scale", 0.125))
        (tmp_path / ENCODER).write_bytes(model.SerializeToString())
        with pytest.raises(ValueError, match="scales"):
            split(tmp_path / ENCODER)
        assert [path.name for path in tmp_path.iterdir()] == [ENCODER]
