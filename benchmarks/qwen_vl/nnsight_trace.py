"""The same lens with nnsight, run in an environment where it is installed.

``python nnsight_trace.py MODEL PROMPT TRIES`` loads the model and the prompt's tensors from a file, and prints the
seconds of plain and traced forward passes as JSON. It imports nothing from this project.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from nnsight import NNsight, save
from transformers import Qwen2VLForConditionalGeneration

TOP_K = 5


def lens(traced: Any, inputs: dict[str, torch.Tensor]) -> Any:  # noqa: ANN401 nnsight's proxies
    """Top tokens of each layer at the last position, computed as in nnsight's tutorials."""
    text = traced.model.language_model
    with torch.inference_mode(), traced.trace(**inputs):
        best = []
        for layer in text.layers:
            state = layer.output[0] if isinstance(layer.output, tuple) else layer.output
            logits = traced.lm_head(text.norm(state[:, -1]))
            best.append(logits.float().softmax(-1).topk(TOP_K))
        save(best)  # unsaved values are lost after the trace
    return best


def seconds(call: Callable[[], Any]) -> float:
    """Time a call."""
    started_s = time.perf_counter()
    call()
    return time.perf_counter() - started_s


def main(folder: str, prompt: str, tries: int) -> None:
    """Load the model, measure in turns and print the times."""
    torch.set_num_threads(2)
    model = Qwen2VLForConditionalGeneration.from_pretrained(
        folder, dtype=torch.bfloat16, attn_implementation="sdpa"
    ).eval()
    inputs = torch.load(prompt, weights_only=True)
    traced = NNsight(model)

    def plain() -> None:
        with torch.inference_mode():
            model(**inputs, logits_to_keep=1)

    assert len(lens(traced, inputs)) == model.config.text_config.num_hidden_layers  # noqa: S101 every layer was traced
    pairs = [(seconds(plain), seconds(lambda: lens(traced, inputs))) for _ in range(tries)]
    print(json.dumps(pairs))  # noqa: T201 read by the benchmark


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
