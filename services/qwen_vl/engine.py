"""Image question answering: a conversation in, an answer and its lens out. Knows neither HTTP nor the environment."""

import logging
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import torch

from services.common.isolation import attempt
from services.qwen_vl.lens.readout import LogitLens
from services.qwen_vl.lens.trace import Trace
from services.qwen_vl.model.check import check_lens
from services.qwen_vl.model.detokenizer import Detokenizer
from services.qwen_vl.model.generation import Generation
from services.qwen_vl.model.network import Network, load
from services.qwen_vl.model.prefill import Prefill
from services.qwen_vl.model.prefix_cache import PrefixCache
from services.qwen_vl.model.prompt import Prompt, PromptBuilder
from services.qwen_vl.settings import Device, Variant
from services.qwen_vl.types import LIMITS, Answer, CacheUse, LensOptions, Limits, Piece, Question
from services.wire.errors import InvalidRequestError, PromptTooLongError

_log = logging.getLogger(__name__)

_Output = tuple[torch.Tensor, list[torch.Tensor]]
"""Logits (vocabulary) of one answer's next token, and each layer's state (hidden) if recorded."""


@dataclass(slots=True)
class Started:
    """An answer being generated, with the pieces from its first step and its cost so far."""

    generation: Generation
    cached_tokens: int
    cache: CacheUse | None
    preprocess_ms: float
    prepared_s: float
    pieces: list[Piece]

    @property
    def ended(self) -> bool:
        """Whether generation has finished."""
        return self.generation.finish_reason is not None


class VisionQA:
    """A loaded Qwen2-VL model in one variant; can generate several answers at once."""

    def __init__(self, network: Network, prompts: PromptBuilder, limits: Limits = LIMITS) -> None:
        self._limits = limits
        self.prompts = prompts
        self.network = network
        self.cache = PrefixCache(self._limits.cache_bytes)
        self.lens = LogitLens(network.text.norm, network.model.lm_head)
        self._eos_ids = _as_list(network.model.generation_config.eos_token_id)

    @classmethod
    def load(cls, folder: Path, variant: Variant, device: Device, threads: int, limits: Limits = LIMITS) -> Self:
        """Load a model folder and check its lens.

        Raises:
            LensMismatchError: the lens disagrees with the model's own output.
        """
        torch.set_num_threads(threads)
        engine = cls(Network(load(folder, variant, device)), PromptBuilder(folder, limits.max_pixels), limits)
        check_lens(engine.network, engine.lens, engine.prompts, variant)
        return engine

    @property
    def num_layers(self) -> int:
        """Number of blocks; the lens has one more layer, the embedding."""
        return self.network.num_layers

    def answer(self, question: Question) -> Answer:
        """Answer one question completely.

        Raises:
            InvalidRequestError: as ``begin``.
            UnsupportedImageError: as ``begin``.
        """
        started = self.begin(question)
        while not started.ended:
            (piece,) = self.step([started])
            if isinstance(piece, Exception):
                raise piece
        return self.finish(started)

    @torch.inference_mode()
    def begin(self, question: Question) -> Started:
        """Prefill the prompt and pick the first token.

        Raises:
            InvalidRequestError: the conversation cannot be turned into a prompt or is too long, or the lens options do
                not fit the model.
            UnsupportedImageError: an image is corrupt.
        """
        started_s = time.perf_counter()
        prompt = self.prompts.build(question)
        self._check_length(prompt, question)
        trace = self._trace(question.lens, prompt) if question.lens else None
        reads_images = trace is not None and trace.options.image_tokens
        prefill = Prefill(prompt, self.prompts, self.cache, whole=reads_images)
        prepared_s = time.perf_counter()
        sequence, logits, states = prefill.run(self.network, _tapped(prompt, trace, reads_images=reads_images))
        text = Detokenizer(self.prompts.decode, question.stop)
        generation = Generation(question, prompt, sequence, text, self._eos_ids, trace)
        if trace is not None and reads_images:
            _add_images(trace, prompt, states)
        piece = generation.advance(logits, [layer[0, -1] for layer in states])
        return Started(
            generation=generation,
            cached_tokens=prefill.start,
            cache=prefill.cache_use,
            preprocess_ms=(prepared_s - started_s) * 1000,
            prepared_s=prepared_s,
            pieces=[piece],
        )

    @torch.inference_mode()
    def step(self, started: list[Started]) -> list[Piece | Exception]:
        """Decode one more token for each of several unfinished answers, as a batch, and return the new pieces.

        An answer that fails yields its exception in its place, and cannot be continued.
        """
        generations = [one.generation for one in started]
        return [
            output if isinstance(output, Exception) else attempt(partial(generation.advance, *output))
            for generation, output in zip(generations, self._decode(generations), strict=True)
        ]

    def _decode(self, generations: list[Generation]) -> list[_Output | Exception]:
        """Logits and states of each answer; if the batch fails, each is tried alone."""
        sequences = [generation.sequence for generation in generations]
        before = [sequence.position for sequence in sequences]
        tap = any(generation.wants_states for generation in generations)
        output = attempt(partial(self.network.decode, sequences, tap=tap))
        if not isinstance(output, Exception):
            logits, states = output
            return [(logits[row], [layer[row, -1] for layer in states]) for row in range(len(generations))]
        if len(generations) == 1:
            return [output]
        _log.warning("a step of %d answers failed (%r): each is decoded alone", len(generations), output)
        return [
            # An answer that the step has moved on has keys and values of a token that was never picked.
            self._decode([generation])[0] if generation.sequence.position == position else output
            for generation, position in zip(generations, before, strict=True)
        ]

    @torch.inference_mode()
    def finish(self, started: Started) -> Answer:
        """Return a finished answer with its lens trace."""
        generation = started.generation
        assert generation.finish_reason is not None  # noqa: S101 callers wait until it has ended
        lens = generation.trace.read(self.prompts.processor.merge_size) if generation.trace else None
        return Answer(
            text=generation.text.text,
            token_ids=generation.token_ids,
            finish_reason=generation.finish_reason,
            image_tokens=generation.prompt.image_tokens,
            prompt_tokens=generation.prompt.tokens,
            cached_tokens=started.cached_tokens,
            cache=started.cache,
            preprocess_ms=started.preprocess_ms,
            inference_ms=(time.perf_counter() - started.prepared_s) * 1000,
            lens=lens,
        )

    def _check_length(self, prompt: Prompt, question: Question) -> None:
        most = min(self._limits.max_prompt_tokens, self.network.max_positions - question.max_new_tokens)
        if prompt.tokens > most:
            message = (
                f"the prompt has {prompt.tokens} tokens, {prompt.image_tokens} of them for {len(prompt.spans)} "
                f"images, at most {most} are allowed: send fewer or smaller images, or leave out old turns"
            )
            raise PromptTooLongError(message, "image")

    def _trace(self, options: LensOptions, prompt: Prompt) -> Trace:
        last = self.network.num_layers
        layers = tuple(range(last + 1)) if options.layers is None else tuple(sorted(set(options.layers)))
        if layers[0] < 0 or layers[-1] > last:
            message = f"'layers' is {list(layers)}, this model has layers 0 (the embedding) to {last}"
            raise InvalidRequestError(message, "lens.layers")
        readings = len(layers) * prompt.image_tokens
        if options.image_tokens and readings > self._limits.max_grid_readings:
            message = (
                f"'image_tokens' for {len(layers)} layers and {prompt.image_tokens} tokens needs {readings} readings, "
                f"at most {self._limits.max_grid_readings} are allowed: choose fewer layers or a smaller max_pixels"
            )
            raise InvalidRequestError(message, "lens.image_tokens")
        track = [self.prompts.single_token(text) for text in options.track]
        return Trace(self.lens, options, layers, last, track)


def _tapped(prompt: Prompt, trace: Trace | None, *, reads_images: bool) -> list[int] | None:
    """Prompt positions at which to record states: the image tokens if the lens reads them, and the last position."""
    if trace is None:
        return None
    imaged = prompt.mm_token_type_ids[0].nonzero()[:, 0].tolist() if reads_images else []
    return [*imaged, prompt.tokens - 1]


def _add_images(trace: Trace, prompt: Prompt, states: list[torch.Tensor]) -> None:
    """Add each layer's recorded states (1, image tokens + 1, hidden) to the trace, image by image."""
    lengths = [*(span.tokens for span in prompt.spans), 1]
    by_image = zip(*(torch.split(layer[0], lengths) for layer in states), strict=True)
    for span, layers in zip(prompt.spans, by_image, strict=False):  # the last part is the prompt's last position
        trace.add_image(span, list(layers))


def _as_list(ids: int | list[int]) -> list[int]:
    return [ids] if isinstance(ids, int) else list(ids)
