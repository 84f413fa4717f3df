"""MatCha in PyTorch, by transformers: SDPA attention, greedy decoding with a cache."""

from pathlib import Path

import torch
from transformers import Pix2StructForConditionalGeneration
from transformers.utils import logging

from services.matcha.patches import Floats


class TorchBackend:
    """A Pix2Struct checkpoint folder, loaded from safetensors without touching the network."""

    def __init__(self, folder: Path, threads: int) -> None:
        torch.set_num_threads(threads)
        logging.disable_progress_bar()
        self._model = Pix2StructForConditionalGeneration.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="sdpa", use_safetensors=True, local_files_only=True
        ).eval()
        self.positions: int = self._model.config.vision_config.seq_len
        self.eos_token_id: int = self._model.generation_config.eos_token_id

    @torch.inference_mode()
    def generate(self, patches: Floats, max_new_tokens: int) -> list[int]:
        """See ``Backend``."""
        output = self._model.generate(
            flattened_patches=torch.from_numpy(patches)[None],  # (1, rows, 770)
            attention_mask=torch.ones(1, len(patches)),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            num_beams=1,
        )
        ids: list[int] = output[0, 1:].tolist()
        return ids
