"""Record the residual stream at chosen positions while the model runs."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn


class StateTap:
    """Records the states of a decoder's blocks with forward hooks."""

    def __init__(self, blocks: nn.ModuleList) -> None:
        self._blocks = blocks

    @contextmanager
    def at(self, positions: list[int] | None) -> Iterator[list[torch.Tensor]]:
        """Yield a list that one forward pass fills with states (batch, positions, hidden): the embedding, then blocks.

        States are raw, before the final norm. With None the list stays empty.
        """
        states: list[torch.Tensor] = []
        with ExitStack() as hooks:
            if positions is not None:
                first, chosen = self._blocks[0], positions

                def before(_: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
                    states.append(args[0][:, chosen])

                def after(_: nn.Module, __: Any, output: torch.Tensor) -> None:  # noqa: ANN401 torch's hook
                    states.append(output[:, chosen])

                hooks.callback(first.register_forward_pre_hook(before).remove)
                for block in self._blocks:
                    hooks.callback(block.register_forward_hook(after).remove)
            yield states
