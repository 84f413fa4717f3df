"""Cost of the lens, compared with the same request without it and with the usual ways to compute it."""

from collections.abc import Callable, Iterator

import torch
from torch.nn import functional

from benchmarks.measurements import Measurement
from benchmarks.quiet import calm_tries
from benchmarks.qwen_vl.asking import noise, question, seconds, told
from services.qwen_vl.engine import VisionQA
from services.qwen_vl.lens.trace import Trace
from services.qwen_vl.types import LensOptions, Question

_TOP_K = 5


def request_measurements(engine: VisionQA, pairs: int, patience_s: float) -> Iterator[Measurement]:
    """Time whole first requests with and without the lens of the first token, in turns."""
    without, with_lens = question(noise(0)), question(noise(0), lens=LensOptions(top_k=_TOP_K))

    def first_time(asked: Question) -> float:
        engine.cache.clear()
        return seconds(lambda: engine.answer(asked))

    def pair() -> tuple[float, float, float]:
        before, on, after = first_time(without), first_time(with_lens), first_time(without)
        return before, on, after

    tries = calm_tries(pair, pairs, patience_s)
    how = told(tries, "whole first requests, off on off")
    yield Measurement.median("request without the lens", [before for before, _, _ in tries.values], "s", how)
    yield Measurement.median("request with the lens", [on for _, on, _ in tries.values], "s", how)
    changes = [(2 * on / (before + after) - 1) * 100 for before, on, after in tries.values]
    yield Measurement.median("more time with the lens", changes, "%", how, at_most=2)


@torch.inference_mode()
def method_measurements(engine: VisionQA, pairs: int, patience_s: float) -> Iterator[Measurement]:
    """Time three ways to compute the lens of one position from recorded states, in turns."""
    network = engine.network
    prompt = engine.prompts.build(question(noise(0)))
    (span,) = prompt.spans
    features = network.encode(engine.prompts.pixels(span), span.grid)
    positions = list(range(prompt.tokens))
    _, logits, states = network.prefill(prompt, [features], None, positions)

    def ours() -> None:
        last = network.num_layers
        trace = Trace(engine.lens, LensOptions(top_k=_TOP_K), tuple(range(last + 1)), last, [])
        trace.add_step([layer[0, -1] for layer in states], logits, int(logits.argmax()))
        trace.read(engine.prompts.processor.merge_size)

    def layer_by_layer() -> None:
        for layer in states:
            _head_of_norm(engine, layer[0, -1]).topk(_TOP_K)

    def every_position() -> None:
        for layer in states:
            _head_of_norm(engine, layer[0])[-1].topk(_TOP_K)

    ways: dict[str, Callable[[], None]] = {
        "one product": ours,
        "loop over layers": layer_by_layer,
        "every prompt position": every_position,
    }
    tries = calm_tries(lambda: {name: _again(way) for name, way in ways.items()}, pairs, patience_s)
    how = told(tries, "from states at hand, in turns, the second call of each")
    taken = {name: [values[name] for values in tries.values] for name in ways}
    for name, values in taken.items():
        yield Measurement.median(f"lens of one position: {name}", [1000 * value for value in values], "ms", how)
    for name, bar in (("loop over layers", 10), ("every prompt position", 100)):
        ratios = [other / own for other, own in zip(taken[name], taken["one product"], strict=True)]
        yield Measurement.median(f"cheaper than: {name}", ratios, "times", how, at_least=bar)


def _again(way: Callable[[], None]) -> float:
    """Seconds of a second call: the first one has to reallocate memory that the previous method freed."""
    way()
    return seconds(way)


def _head_of_norm(engine: VisionQA, states: torch.Tensor) -> torch.Tensor:
    """Probabilities as a notebook would compute them: transformers' own head with unpacked embedding weights."""
    text = engine.network.text
    return torch.softmax(functional.linear(text.norm(states), text.embed_tokens.weight).float(), dim=-1)
