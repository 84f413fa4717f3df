"""Prefill a prompt, reusing what the prefix cache contains."""

from typing import TYPE_CHECKING

import torch

from services.qwen_vl.model.network import Network, Sequence, keys_and_values
from services.qwen_vl.model.prefix_cache import PrefixCache, give_back
from services.qwen_vl.model.prompt import Prompt, PromptBuilder
from services.qwen_vl.types import CacheUse, ImageSpan

if TYPE_CHECKING:
    from collections.abc import Hashable


class Prefill:
    """A prompt ready to prefill: images that are not cached are decoded, but the network has not run yet.

    ``start`` is the first position after the longest cached prefix; 0 if the prompt is computed ``whole``, because the
    states of all positions may be needed.

    Raises:
        UnsupportedImageError: an image is corrupt.
    """

    def __init__(self, prompt: Prompt, prompts: PromptBuilder, cache: PrefixCache, *, whole: bool) -> None:
        self._prompt = prompt
        self._cache = cache
        self._prefix = None if whole else _longest_prefix(prompt, cache)
        self.start = 0 if self._prefix is None else self._prefix.shape[3]
        self._spans = [span for span in prompt.spans if span.start >= self.start]
        # Keep references: caching a new image may evict a known one.
        self._features: dict[Hashable, torch.Tensor | None] = {span.key: cache.get(span.key) for span in self._spans}
        self._pixels = {span.key: prompts.pixels(span) for span in self._spans if self._features[span.key] is None}

    @property
    def cache_use(self) -> CacheUse | None:
        """Whether all images, with everything before them, were cached; None if there was nothing to cache."""
        if not self._prompt.spans or not self._cache.enabled:
            return None
        return "miss" if self._spans else "hit"

    def run(self, network: Network, tapped: list[int] | None) -> tuple[Sequence, torch.Tensor, list[torch.Tensor]]:
        """Compute the rest of the prompt, and cache what further questions about its images need.

        Returns the result of ``Network.prefill``; ``tapped`` are positions in the whole prompt.
        """
        features = [self._encoded(network, span) for span in self._spans]
        relative = tapped and [position - self.start for position in tapped]
        sequence, logits, states = network.prefill(self._prompt, features, self._prefix, relative)
        if self._spans and self._cache.enabled:
            last = self._spans[-1]
            self._cache.put(self._prompt.prefix_key(last), keys_and_values(sequence.cache, last.end))
            give_back()
        return sequence, logits, states

    def _encoded(self, network: Network, span: ImageSpan) -> torch.Tensor:
        features = self._features[span.key]
        if features is None:
            features = self._features[span.key] = network.encode(self._pixels[span.key], span.grid)
            self._cache.put(span.key, features)
        return features


def _longest_prefix(prompt: Prompt, cache: PrefixCache) -> torch.Tensor | None:
    found = (cache.get(prompt.prefix_key(span)) for span in reversed(prompt.spans))
    return next((prefix for prefix in found if prefix is not None), None)
