"""A checkpoint whose lens does not match the model's output is rejected; differences from rounding are not."""

from typing import Any

import pytest
import torch
from torch import nn

from services.qwen_vl.engine import VisionQA
from services.qwen_vl.lens.readout import LogitLens
from services.qwen_vl.model.check import LensMismatchError, check_lens
from services.qwen_vl.settings import Variant


def tamper(engine: VisionQA, monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """Lets a function change the logits and states of every prompt that is read."""
    prefill = engine.network.prefill

    def changed(*arguments: Any) -> Any:
        row, logits, states = prefill(*arguments)
        return row, *change(logits, states)

    monkeypatch.setattr(engine.network, "prefill", changed)


def check(engine: VisionQA, variant: Variant = "fp32") -> None:
    check_lens(engine.network, engine.lens, engine.prompts, variant)


def test_the_embedded_model_passes(engine: VisionQA) -> None:
    check(engine)


def swapped(states: list[torch.Tensor], one: int, other: int) -> list[torch.Tensor]:
    states = list(states)
    states[one], states[other] = states[other], states[one]
    return states


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda logits, states: (logits.roll(1), states), "the picked logits"),
        (lambda logits, states: (logits * torch.nan, states), "the picked logits"),
        (lambda logits, states: (logits, [*states[:-1], states[-2]]), "the last layer"),
        (lambda logits, states: (logits, [states[1], *states[1:]]), "layer 0"),
        (lambda logits, states: (logits, swapped(states, 2, 3)), "layer 2"),
        (lambda logits, states: (logits, [*states[:7], states[6], states[8]]), "layer 7"),
    ],
    ids=["other logits", "no numbers", "last layer", "embedding", "two layers swapped", "last but one"],
)
def test_every_part_of_the_lens_is_compared(
    engine: VisionQA,
    monkeypatch: pytest.MonkeyPatch,
    change: Any,
    told: str,
) -> None:
    tamper(engine, monkeypatch, change)
    with pytest.raises(LensMismatchError, match=f"^{told} and the model differ by"):
        check(engine)


def test_a_lens_without_the_final_norm_is_refused(engine: VisionQA) -> None:
    bare = LogitLens(nn.Identity(), engine.network.model.lm_head)
    with pytest.raises(LensMismatchError, match="the last layer"):
        check_lens(engine.network, bare, engine.prompts, "fp32")


@pytest.mark.parametrize(
    ("variant", "difference", "passes"),
    [
        ("fp32", 0.8e-4, True),
        ("fp32", 1.2e-4, False),
        ("bf16", 1.8e-2, True),
        ("bf16", 2.2e-2, False),
        ("int8", 1.8e-2, True),
        ("int8", 2.2e-2, False),
        ("nf4", 1.8e-2, True),
    ],
)
def test_a_difference_beyond_the_rounding_of_the_variant_is_refused(
    engine: VisionQA, monkeypatch: pytest.MonkeyPatch, variant: Variant, difference: float, *, passes: bool
) -> None:
    def moved(logits: torch.Tensor, states: list[torch.Tensor]) -> Any:
        probs = logits.double().softmax(-1)
        best, worst = int(probs.argmax()), int(probs.argmin())
        probs[best] -= difference
        probs[worst] += difference
        return probs.log().float(), states

    tamper(engine, monkeypatch, moved)
    if passes:
        check(engine, variant)
    else:
        with pytest.raises(LensMismatchError, match=f"differ by {difference:.1e}".replace("e", ".*e")[:14]):
            check(engine, variant)
