"""Pick the next token."""

import torch

from services.qwen_vl.types import Sampling

_COLDEST = 1e-6
"""Lower temperatures would overflow float32; the best token is all but certain long before that."""


class Sampler:
    """Picks one request's tokens; reproducible for the same seed and distributions."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._random = torch.Generator()
        if sampling.seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(sampling.seed)

    def pick(self, logits: torch.Tensor) -> int:
        """Pick a token from float32 logits (vocabulary): the best at temperature 0, else sampled.

        ``top_p`` keeps the smallest set of best tokens whose probabilities reach it (Holtzman et al., "The curious
        case of neural text degeneration", 2020).
        """
        if self._sampling.temperature == 0:
            return int(logits.argmax())
        probs = torch.softmax(logits.cpu() / max(self._sampling.temperature, _COLDEST), dim=-1)
        probs, ids = probs.sort(descending=True)
        before = probs.cumsum(-1) - probs
        probs[before >= self._sampling.top_p] = 0
        return int(ids[torch.multinomial(probs, 1, generator=self._random)])
