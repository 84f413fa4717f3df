"""Picture question answering: a picture and a question in, an answer and its lens out. No HTTP, no environment."""

import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import GenerationConfig, Qwen2VLForConditionalGeneration
from transformers.utils import logging

from services.qwen_vl.lens import Lens
from services.qwen_vl.prompt import Prompt, PromptBuilder
from services.qwen_vl.settings import Variant
from services.qwen_vl.values import PictureAnswer, PictureQuestion

_DTYPES: dict[Variant, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
_LENS_TOLERANCE: dict[Variant, float] = {"fp32": 1e-4, "bf16": 2e-2}
"""Rounding of one matrix product in that form, as a difference of probabilities."""


class VisionQA:
    """Qwen2-VL in one variant, ready to answer."""

    def __init__(self, folder: Path, variant: Variant, max_pixels: int, threads: int) -> None:
        torch.set_num_threads(threads)
        logging.disable_progress_bar()
        self.prompts = PromptBuilder(folder, max_pixels)
        self._model = Qwen2VLForConditionalGeneration.from_pretrained(
            folder, dtype=_DTYPES[variant], attn_implementation="sdpa", use_safetensors=True, local_files_only=True
        ).eval()
        self._eos_ids = _eos_ids(self._model.generation_config)
        # Greedy and nothing else: a checkpoint's sampling defaults and repetition penalty would make the emitted token
        # differ from the best one of the last layer.
        self._model.generation_config = GenerationConfig(
            do_sample=False, eos_token_id=self._eos_ids, pad_token_id=self._eos_ids[0]
        )
        self.num_layers: int = self._model.config.text_config.num_hidden_layers
        self._lens = Lens(self._model.model.language_model.norm, self._model.lm_head)
        self._check_lens(_LENS_TOLERANCE[variant])

    def answer(self, question: PictureQuestion) -> PictureAnswer:
        """Answer greedily, with the lens of the first answer token if asked for.

        Raises:
            InvalidRequestError: the picture or the question cannot be made into a prompt.
        """
        started_s = time.perf_counter()
        prompt = self.prompts.build(question.picture, question.text)
        prepared_s = time.perf_counter()
        with torch.inference_mode():
            output = self._generate(prompt, question.max_new_tokens, states=question.lens_top_k is not None)
            token_ids: list[int] = output.sequences[0, prompt.tokens :].tolist()
            lens = None
            if question.lens_top_k is not None:
                lens = self._lens.read(_last_states(output), token_ids[0], question.lens_top_k)
        finished_s = time.perf_counter()
        return PictureAnswer(
            text=self.prompts.decode(token_ids),
            token_ids=token_ids,
            finish_reason="stop" if token_ids[-1] in self._eos_ids else "length",
            image_tokens=prompt.image_tokens,
            prompt_tokens=prompt.tokens,
            preprocess_ms=(prepared_s - started_s) * 1000,
            inference_ms=(finished_s - prepared_s) * 1000,
            lens=lens,
        )

    def _generate(self, prompt: Prompt, max_new_tokens: int, *, states: bool, logits: bool = False) -> Any:  # noqa: ANN401 transformers' output
        return self._model.generate(
            input_ids=prompt.input_ids,
            attention_mask=torch.ones_like(prompt.input_ids),
            mm_token_type_ids=prompt.mm_token_type_ids,
            pixel_values=prompt.pixel_values.to(self._model.dtype),
            image_grid_thw=prompt.image_grid_thw,
            max_new_tokens=max_new_tokens,
            return_dict_in_generate=True,
            output_hidden_states=states,
            output_logits=logits,
        )

    @torch.inference_mode()
    def _check_lens(self, tolerance: float) -> None:
        prompt = self.prompts.build(Image.new("RGB", (56, 56), "grey"), "?")
        output = self._generate(prompt, 1, states=True, logits=True)
        self._lens.check_last_layer(_last_states(output), output.logits[0][0], tolerance)


def _last_states(output: Any) -> torch.Tensor:  # noqa: ANN401 transformers' output
    """States (layers, hidden) at the last prompt position, the one that emits the first answer token."""
    return torch.stack([layer[0, -1] for layer in output.hidden_states[0]])


def _eos_ids(config: GenerationConfig) -> list[int]:
    ids = config.eos_token_id
    return [ids] if isinstance(ids, int) else list(ids)
