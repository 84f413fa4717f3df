"""What a lens trace collects, with states and a head that can be checked by eye."""

import pytest
import torch
from torch import nn

from services.qwen_vl.lens.readout import LogitLens
from services.qwen_vl.lens.trace import Trace
from services.qwen_vl.types import ImageFile, ImageSpan, LensOptions

LAST = 3
VOCABULARY = 6


class Doubling(nn.Module):
    """A visible norm: if applied to the last layer too, its logits would be twice as large."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


def head() -> nn.Linear:
    made = nn.Linear(VOCABULARY, VOCABULARY, bias=False)
    made.weight.data = torch.eye(VOCABULARY)
    return made


def trace(options: LensOptions, layers: tuple[int, ...], track: list[int] | None = None) -> Trace:
    return Trace(LogitLens(Doubling(), head()), options, layers, LAST, track or [])


def peak(token_id: int, height: float = 2.0) -> torch.Tensor:
    """A state that reads as one token."""
    return torch.eye(VOCABULARY)[token_id] * height


def states(step: int) -> list[torch.Tensor]:
    """Layer i of step s reads as token (s + i) mod 6."""
    return [peak((step + layer) % VOCABULARY) for layer in range(LAST + 1)]


def span(rows: int, columns: int, width: int, height: int) -> ImageSpan:
    grid = (2 * rows, 2 * columns)
    return ImageSpan(ImageFile(b""), "", width, height, {}, grid, 0, rows * columns)


@pytest.mark.parametrize("layers", [(0, 1, 2, 3), (1, 2), (0, 3), (3,), (2,)], ids=str)
def test_every_step_has_its_own_reading_of_each_layer_asked_for(layers: tuple[int, ...]) -> None:
    made = trace(LensOptions(top_k=2, every_token=True), layers)
    for step, token_id in enumerate((1, 3, 2)):
        assert made.wants_step
        made.add_step(states(step), 7 * peak(token_id), token_id)
    reading = made.read(merge=2)
    assert (reading.layers, reading.grids) == (layers, None)
    assert [step.token_id for step in reading.steps] == [1, 3, 2]
    for step, (taken, token_id) in enumerate(zip(reading.steps, (1, 3, 2), strict=True)):
        expected = [token_id if layer == LAST else (step + layer) % VOCABULARY for layer in layers]
        assert [one.token_ids[0] for one in taken.layers] == expected
        assert [one.answer_rank == 0 for one in taken.layers] == [one == token_id for one in expected]
        assert {len(one.token_ids) for one in taken.layers} == {2}


def test_the_last_layer_is_read_from_the_logits_that_picked_the_token_and_the_others_through_the_norm() -> None:
    made = trace(LensOptions(track=("four", "none")), (2, 3), track=[4, 0])
    logits = torch.tensor([0.5, 0.0, 0.0, 0.0, 1.0, 3.0])
    made.add_step([peak(0)] * 2 + [peak(1, 1.5), peak(2)], logits, 5)
    inner, own = made.read(merge=2).steps[0].layers
    assert own.answer_prob == pytest.approx(float(logits.softmax(-1)[5]))
    assert [prob for prob, _ in own.tracked] == pytest.approx(logits.softmax(-1)[[4, 0]].tolist())
    assert [rank for _, rank in own.tracked] == [1, 2]
    probs = peak(1, 3.0).softmax(-1)
    assert inner.probs[0] == pytest.approx(float(probs[1]))
    assert [prob for prob, _ in inner.tracked] == pytest.approx(probs[[4, 0]].tolist())
    assert [rank for _, rank in inner.tracked] == [1, 1]
    assert made.read(merge=2).track == ("four", "none")


@pytest.mark.parametrize(("every_token", "wanted"), [(False, [True, False, False]), (True, [True, True, True])])
def test_the_first_token_is_traced_or_every_one(*, every_token: bool, wanted: list[bool]) -> None:
    made = trace(LensOptions(every_token=every_token), (1, 3))
    seen = []
    for step in range(3):
        seen.append(made.wants_step)
        if made.wants_step:
            made.add_step(states(step), peak(step), step)
    assert seen == wanted
    assert len(made.read(merge=2).steps) == sum(wanted)


def test_every_image_has_its_own_grid_row_by_row() -> None:
    made = trace(LensOptions(track=("x",), image_tokens=True), (1, 3), track=[5])
    made.add_step(states(0), peak(0), 0)
    for shape, shift in [((2, 3, 90, 40), 0), ((3, 1, 30, 77), 3)]:
        cells = [(shift + cell) % VOCABULARY for cell in range(shape[0] * shape[1])]
        made.add_image(
            span(*shape), [torch.stack([peak((cell + layer) % VOCABULARY) for cell in cells]) for layer in range(4)]
        )
    wide, tall = made.read(merge=2).grids or []
    assert (wide.rows, wide.columns, wide.width_px, wide.height_px) == (2, 3, 90, 40)
    assert (tall.rows, tall.columns, tall.width_px, tall.height_px) == (3, 1, 30, 77)
    assert [[cell.token_ids for cell in layer] for layer in wide.layers] == [
        [[1], [2], [3], [4], [5], [0]],
        [[3], [4], [5], [0], [1], [2]],
    ]
    assert [[cell.token_ids for cell in layer] for layer in tall.layers] == [[[4], [5], [0]], [[0], [1], [2]]]
    assert [cell.tracked[0][1] for cell in wide.layers[0]] == [1, 1, 1, 1, 0, 1]


def test_patches_of_a_side_that_make_one_token() -> None:
    made = trace(LensOptions(image_tokens=True), (3,))
    made.add_step(states(0), peak(0), 0)
    made.add_image(ImageSpan(ImageFile(b""), "", 1, 1, {}, (6, 9), 0, 6), [torch.zeros(6, VOCABULARY)] * 4)
    (grid,) = made.read(merge=3).grids or []
    assert (grid.rows, grid.columns) == (2, 3)


def test_grids_are_there_only_if_they_were_asked_for() -> None:
    asked, not_asked = trace(LensOptions(image_tokens=True), (3,)), trace(LensOptions(), (3,))
    for made in (asked, not_asked):
        made.add_step(states(0), peak(0), 0)
    assert (asked.read(merge=2).grids, not_asked.read(merge=2).grids) == ([], None)
