"""Check, when a checkpoint is loaded, that its lens agrees with the model's own output."""

import io

import torch
from PIL import Image

from services.common.artifact.reading import LoadError
from services.qwen_vl.lens.readout import LogitLens
from services.qwen_vl.model.network import Network
from services.qwen_vl.model.prompt import PromptBuilder
from services.qwen_vl.settings import Variant
from services.qwen_vl.types import ImageFile, Question, Turn

_TOLERANCE: dict[Variant, float] = {"fp32": 1e-4}
_TOLERANCE_16_BIT = 2e-2
"""Rounding error of one matrix product, as a difference in probability."""


class LensMismatchError(LoadError):
    """The lens disagrees with the model's own output, so it would misread this checkpoint."""


@torch.inference_mode()
def check_lens(network: Network, lens: LogitLens, prompts: PromptBuilder, variant: Variant) -> None:
    """Compare the lens with transformers' own forward pass on a small image.

    Raises:
        LensMismatchError: the last layer's distribution differs from the model's own, or a layer's recorded state is
            not transformers' hidden state of that index.
    """
    prompt = prompts.build(_question())
    pixels = prompts.pixels(prompt.spans[0])
    _, logits, states = network.prefill(
        prompt, [network.encode(pixels, prompt.spans[0].grid)], None, [prompt.tokens - 1]
    )
    plain = network.model(
        input_ids=prompt.input_ids.to(network.device),
        mm_token_type_ids=prompt.mm_token_type_ids.to(network.device),
        pixel_values=pixels.to(network.device),
        image_grid_thw=prompt.image_grid_thw.to(network.device),
        output_hidden_states=True,
        logits_to_keep=1,
    )
    tolerance = _TOLERANCE.get(variant, _TOLERANCE_16_BIT)
    own = plain.logits[0, -1].float()
    _compare("the picked logits", own, logits, tolerance)
    _compare("the last layer", own, lens.logits(states[-1][0])[0], tolerance)
    tapped, named = torch.cat(states[:-1])[:, 0], torch.cat(plain.hidden_states[:-1])[:, -1]
    for layer, (expected, actual) in enumerate(zip(lens.logits(named), lens.logits(tapped), strict=True)):
        _compare(f"layer {layer}", expected, actual, tolerance)


def _question() -> Question:
    buffer = io.BytesIO()
    Image.new("RGB", (56, 56), "grey").save(buffer, "PNG")
    return Question((Turn("user", (ImageFile(buffer.getvalue()), "?")),), max_new_tokens=1)


def _compare(what: str, expected: torch.Tensor, actual: torch.Tensor, tolerance: float) -> None:
    difference = float((expected.softmax(-1) - actual.softmax(-1)).abs().max())
    if not difference <= tolerance:  # NaN too
        message = (
            f"{what} and the model differ by {difference:.2e} in probability, {tolerance:.0e} is tolerated: "
            "the lens would misread this model, serve another variant"
        )
        raise LensMismatchError(message)
