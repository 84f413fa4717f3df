import torch

from services.training.tiny_qwen_vl.learning.muon import Muon, orthogonalized


def test_it_steps_as_torchs_own_does_in_bf16() -> None:
    torch.manual_seed(0)
    for shape in ((24, 40), (40, 24), (32, 32)):
        weights, gradients = torch.randn(shape), [torch.randn(shape) for _ in range(3)]
        ours, theirs = torch.nn.Parameter(weights.clone()), torch.nn.Parameter(weights.clone())
        own = Muon([ours], 0.02, weight_decay=0.05)
        reference = torch.optim.Muon([theirs], 0.02, weight_decay=0.05, adjust_lr_fn="original")
        for gradient in gradients:
            ours.grad, theirs.grad = gradient.clone(), gradient.clone()
            own.step()
            reference.step()  # type: ignore[no-untyped-call]
        moved = (theirs - weights).detach()
        assert torch.linalg.norm(ours - theirs) < 0.03 * torch.linalg.norm(moved)


def test_singular_values_come_near_one() -> None:
    torch.manual_seed(1)
    for shape in ((20, 50), (50, 20)):
        values = torch.linalg.svdvals(orthogonalized(torch.randn(shape)))
        assert values.min() > 0.5
        assert values.max() < 1.5
