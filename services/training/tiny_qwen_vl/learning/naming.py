"""Auxiliary heads that teach the vision tower to name what lies where in the image; they are not saved.

From the answers alone the model takes far longer to learn shapes: one digit says little about sixty-four patches.
"""

from typing import Any, Final

import torch
from torch import nn
from torch.nn import functional

from services.training.tiny_qwen_vl.data.scenes import COLOURS, SHAPES, SIDE, Item, Scene
from services.training.tiny_qwen_vl.model.network import CELLS, GRID, MERGE, PATCH, WIDTH

LOOKS: Final = len(COLOURS) * len(SHAPES)
"""Number of looks, which are pairs of a colour and a shape."""

_NOTHING: Final = 0
_REACH: Final = 0.9
_PATCH_WEIGHT: Final = 2.0
_PRIOR_LOGIT: Final = {"looks": -4.8, "parts": -3.0}


def look_of(item: Item) -> int:
    """Index of the item's look."""
    return COLOURS.index(item.colour) * len(SHAPES) + SHAPES.index(item.shape)


def looks_by_cell(scene: Scene) -> torch.Tensor:
    """(CELLS, LOOKS) float32, 1 where an item of that look has its centre in the cell."""
    side = GRID // MERGE
    looks = torch.zeros(CELLS, LOOKS)
    for item in scene.items:
        row, column = int(item.y * side / SIDE), int(item.x * side / SIDE)
        looks[row * side + column, look_of(item)] = 1.0
    return looks


def look_by_patch(scene: Scene) -> torch.Tensor:
    """(GRID * GRID,) int64 in the order of the patches: 1 + the look of the item that covers it, or 0 for none."""
    looks = torch.full((GRID, GRID), _NOTHING)
    centres = (torch.arange(GRID) + 0.5) * PATCH
    for item in scene.items:
        reach = _REACH * item.radius + 2.0  # only items that cover enough of the patch to be recognised in it
        rows, columns = ((centres - place).abs() < reach for place in (item.y, item.x))
        looks[rows[:, None] & columns[None, :]] = 1 + look_of(item)
    half = GRID // MERGE
    return looks.view(half, MERGE, half, MERGE).transpose(1, 2).reshape(-1)


class NamingHeads(nn.Module):
    """Predict the looks, the colours and the shapes in each merged cell, and the look in each patch."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = _rare(nn.Linear(WIDTH, LOOKS), _PRIOR_LOGIT["looks"])
        self.parts = _rare(nn.Linear(WIDTH, len(COLOURS) + len(SHAPES)), _PRIOR_LOGIT["parts"])
        self.patch = nn.Linear(WIDTH, 1 + LOOKS)

    def loss(self, vision: Any, looks: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
        """Loss of the predictions.

        Args:
            vision: transformers' output of the vision tower: one (CELLS, WIDTH) per image, and the unmerged patches.
            looks: (B, CELLS, LOOKS), see ``looks_by_cell``.
            patches: (B, GRID * GRID), see ``look_by_patch``.
        """
        cells = torch.stack(list(vision.pooler_output))
        by_colour = looks.view(*looks.shape[:-1], len(COLOURS), len(SHAPES))
        parts = torch.cat([by_colour.amax(-1), by_colour.amax(-2)], dim=-1)
        named = functional.cross_entropy(self.patch(vision.last_hidden_state).float(), patches.flatten())
        return _summed_bce(self.looks(cells), looks) + _summed_bce(self.parts(cells), parts) + _PATCH_WEIGHT * named


def _rare(linear: nn.Linear, logit: float) -> nn.Linear:
    """A head that initially predicts that almost nothing is present, which is almost right."""
    with torch.no_grad():
        linear.weight.mul_(0.1)
        linear.bias.fill_(logit)
    return linear


def _summed_bce(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy, summed over names and averaged over cells."""
    return functional.binary_cross_entropy_with_logits(logits.float(), targets) * targets.shape[-1]
