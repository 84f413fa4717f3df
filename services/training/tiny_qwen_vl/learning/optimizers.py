"""The optimizers of a phase and the schedule of their learning rates."""

import math
from collections.abc import Iterator
from typing import Final

import torch
from torch import nn

from services.training.shared.optimizers import ScheduledOptimizers
from services.training.tiny_qwen_vl.learning.muon import Muon
from services.training.tiny_qwen_vl.learning.settings import Phase, Settings

_MAX_GRADIENT_NORM: Final = 1.0


class PhaseOptimizers:
    """The optimizers of one phase: Muon for the network's inner matrices, AdamW for the rest.

    Their rates rise over the warm-up, and fall to zero along a cosine.
    """

    def __init__(self, network: nn.Module, heads: nn.Module, phase: Phase, settings: Settings) -> None:
        self._phase, self._settings = phase, settings
        self._parameters = [*network.parameters(), *heads.parameters()]
        inner = {id(each.weight) for each in network.modules() if type(each) is nn.Linear}
        inner -= {id(each.weight) for each in network.modules() if isinstance(each, nn.Embedding)}  # the tied output
        matrices = [each for each in self._parameters if id(each) in inner]
        others = [each for each in self._parameters if id(each) not in inner]
        decay = settings.weight_decay
        self._optimizers = ScheduledOptimizers(
            torch.optim.Muon(matrices, settings.matrix_rate, weight_decay=decay, adjust_lr_fn="original")
            if settings.bf16
            else Muon(matrices, settings.matrix_rate, weight_decay=decay),
            torch.optim.AdamW(others, settings.other_rate, weight_decay=decay, betas=(0.9, 0.98)),
        )

    def steps(self) -> Iterator[float]:
        """Before each step: set the learning rates, and yield the share of the phase that is done."""
        for number in range(self._phase.steps):
            progress = number / self._phase.steps
            warm_up = min(1.0, (number + 1) / self._settings.warmup_steps)
            self._optimizers.scale_rates(warm_up * cosine(progress))
            yield progress

    def apply(self, loss: torch.Tensor) -> None:
        """Take one step to reduce the loss."""
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._parameters, _MAX_GRADIENT_NORM)
        self._optimizers.step()


def cosine(progress: float) -> float:
    """Falls from one to zero along half a cosine."""
    return 0.5 * (1.0 + math.cos(math.pi * progress))
