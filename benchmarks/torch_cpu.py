"""``python -m benchmarks.torch_cpu``: the gains in bf16 from packed or widened weights and from blocked attention."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Annotated

import torch
import typer
from torch import nn
from torch.nn import functional

from benchmarks import measurements
from benchmarks.measurements import Measurement
from clients.terminal import run
from services.common.cpu import available_cores
from services.torch_cpu.attention import blocked_attention
from services.torch_cpu.linear import PackedLinear, WidenedLinear, can_pack

_HOW = "make bench-torch-cpu"
_LAYERS = {
    "MatCha, 2009 patches": (2009, 768, 2048),
    "MatCha, one token": (1, 768, 2048),
    "Qwen2-VL, prompt of 350 tokens": (350, 1536, 8960),
    "Qwen2-VL, one token": (1, 1536, 8960),
}
"""Rows, inputs and outputs of the widest layer. An image of 800 × 600 has 2009 patches where 2048 are allowed."""
_ATTENTIONS = {
    "MatCha, 2009 patches": (12, 2009, 2009, 64),
    "MatCha, one token": (12, 1, 2009, 64),
    "Qwen2-VL, 1296 patches": (16, 1296, 1296, 80),
}
"""Heads, rows, keys and head width."""
_COPIES = 16
"""Layers run in sequence, as in a model: a single one would stay in the CPU cache."""


class _Sees(nn.Module):
    """A stand-in for a non-causal attention layer."""

    is_causal = False


@torch.inference_mode()
def main(
    out: Annotated[Path, typer.Option(help="Folder for figures.json.")],
    rounds: Annotated[int, typer.Option(min=1, help="Timings of each, taken in turn.")] = 15,
    threads: Annotated[int, typer.Option(min=1, help="Compute threads.")] = available_cores(),
) -> None:
    """Print the speedups, and the error of attention against float64.

    A CPU without products in bf16 gets widened weights instead of packed ones, and PyTorch's own attention.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    results = [_layer(name, *shape, rounds) for name, shape in _LAYERS.items()]
    for name, shape in _ATTENTIONS.items() if can_pack() else ():
        results += _attention(name, *shape, rounds)
    measurements.write(results, out)
    measurements.show(results, f"bf16 on the CPU, {threads} threads")


def _layer(name: str, rows: int, inputs: int, outputs: int, rounds: int) -> Measurement:
    plain = [nn.Linear(inputs, outputs, bias=False, dtype=torch.bfloat16) for _ in range(_COPIES)]
    kind = PackedLinear if can_pack() else WidenedLinear
    ours = [kind(layer) for layer in plain]
    x = torch.randn(rows, inputs, dtype=torch.bfloat16)

    def through(layers: Sequence[nn.Module]) -> None:
        for layer in layers:
            layer(x)

    ratios = _ratios(partial(through, plain), partial(through, ours), rounds)
    return Measurement.median(
        f"{'packed' if can_pack() else 'widened'} against plain linear layer: {name}", ratios, "times", _HOW
    )


def _attention(name: str, heads: int, rows: int, keys: int, width: int, rounds: int) -> list[Measurement]:
    query, key, value = (torch.randn(1, heads, size, width, dtype=torch.bfloat16) for size in (rows, keys, keys))
    scaling = width**-0.5

    def fused() -> torch.Tensor:
        return functional.scaled_dot_product_attention(query, key, value, scale=scaling)

    def blocked() -> torch.Tensor:
        return blocked_attention(_Sees(), query, key, value, None, scaling)[0].transpose(1, 2)

    exact = functional.scaled_dot_product_attention(query.double(), key.double(), value.double(), scale=scaling)
    errors = {
        what: float((call().double() - exact).norm() / exact.norm())
        for what, call in (("torch's", fused), ("blocked", blocked))
    }
    return [
        Measurement.median(
            f"blocked against torch's attention: {name}", _ratios(fused, blocked, rounds), "times", _HOW
        ),
        *(
            Measurement.median(f"error of {what} attention: {name}", [100 * error], "%", _HOW)
            for what, error in errors.items()
        ),
    ]


def _ratios(slow: Callable[[], object], fast: Callable[[], object], rounds: int) -> list[float]:
    """Ratios of times taken in turns, after an uncounted warm-up of each."""
    pairs = [(_seconds(slow), _seconds(fast)) for _ in range(rounds + 1)]
    return [one / other for one, other in pairs[1:]]


def _seconds(call: Callable[[], object]) -> float:
    started_s = perf_counter()
    call()
    return perf_counter() - started_s


if __name__ == "__main__":
    run(main)
