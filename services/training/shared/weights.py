"""How the weights of a network begin, and how many there are."""

import torch
from torch import nn


def start(seed: int, threads: int) -> None:
    """Seed torch's global generator, which draws the initial weights, and fix the number of threads.

    More threads round sums differently, so they give other weights.
    """
    torch.manual_seed(seed)
    torch.set_num_threads(threads)


def parameter_count(network: nn.Module) -> int:
    """Number of parameters; tied ones count once."""
    return sum(parameter.numel() for parameter in network.parameters())
