"""MatCha in PyTorch with transformers: SDPA attention and greedy decoding with a cache, in fp32, bf16 or int8."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from transformers import BitsAndBytesConfig, GenerationConfig, Pix2StructForConditionalGeneration
from transformers.activations import GELUTanh, NewGELUActivation
from transformers.modeling_outputs import BaseModelOutput
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from services.common.artifact.manifest import require_tensors
from services.common.artifact.reading import readable
from services.common.isolation import checkpoint
from services.matcha.backends import Hardware
from services.matcha.backends.model_shape import ModelShape
from services.matcha.patches import Floats
from services.torch_cpu.attention import BLOCKED
from services.torch_cpu.linear import can_pack, replace_linears

Form = Literal["fp32", "bf16", "int8"]
FORMS: dict[str, Form] = {form: form for form in get_args(Form)}
_DTYPES: dict[Form, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.bfloat16}


class TorchBackend:
    """A Pix2Struct checkpoint folder, loaded from safetensors without network access.

    ``int8`` is bitsandbytes' LLM.int8(), quantized while loading unless the folder is quantized already; the norms and
    embeddings that it leaves alone are in bf16.
    """

    fixed_patches: int | None = None

    def __init__(self, folder: Path, hardware: Hardware, form: Form) -> None:
        torch.set_num_threads(hardware.threads)
        disable_progress_bar()
        self._model = load_model(folder, form, hardware.device)
        if form != "fp32" and hardware.device == "cpu":
            if can_pack():
                self._model.set_attn_implementation(BLOCKED)
            replace_linears(self._model)
        for module in self._model.modules():
            if isinstance(getattr(module, "act", None), NewGELUActivation):
                module.act = GELUTanh()  # the same function in one kernel instead of eight
        for layer in (*self._model.encoder.encoder.layer, *self._model.decoder.layer):
            layer.register_forward_pre_hook(checkpoint)
        # Row and column ids are part of the patches; bf16 would round those above 256.
        self._model.encoder.embeddings.patch_projection.register_forward_pre_hook(self._in_compute_type)
        self.positions: int = self._model.config.vision_config.seq_len
        self.end_token_ids = ModelShape.read(folder).end_token_ids

    @torch.inference_mode()
    def generate(self, patches: Sequence[Floats], limits: Sequence[int]) -> list[list[int]]:
        """See ``Backend``. Images are encoded one by one, which avoids padding; answers are decoded as a batch."""
        states = [self._encode(rows) for rows in patches]
        mask = torch.nn.utils.rnn.pad_sequence([state.new_ones(len(state)) for state in states], batch_first=True)
        padded = torch.nn.utils.rnn.pad_sequence(states, batch_first=True)  # (B, longest, hidden)
        output = self._model.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=padded),
            attention_mask=mask.long(),
            max_new_tokens=max(limits),
        )
        return [self._answer(ids, limit) for ids, limit in zip(output[:, 1:].tolist(), limits, strict=True)]

    def _encode(self, rows: Floats) -> torch.Tensor:
        """Encoder states (rows, hidden) of one image."""
        image = torch.from_numpy(rows)[None].to(self._model.device)
        states: torch.Tensor = self._model.encoder(flattened_patches=image).last_hidden_state
        return states[0]

    def _in_compute_type(self, _: torch.nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        return (inputs[0].to(self._model.dtype),)

    def _answer(self, ids: list[int], limit: int) -> list[int]:
        """Cut one row of a batch at its end-of-sequence token or its limit; the rest is padding or surplus."""
        end = next((index + 1 for index, token in enumerate(ids) if token in self.end_token_ids), len(ids))
        return ids[: min(end, limit)]


def load(folder: Path, hardware: Hardware, variant: str) -> TorchBackend:
    """Load an artifact folder in the variant's form."""
    return TorchBackend(folder, hardware, FORMS[variant])


def load_model(folder: Path, form: Form, device: str = "cpu", **options: Any) -> Pix2StructForConditionalGeneration:
    """Load a checkpoint for inference in a form; ``options`` go to ``from_pretrained``.

    It decodes greedily, whatever the checkpoint's own configuration says: one made for another program may sample,
    penalize repetition or set lengths.

    Raises:
        ManifestError: the folder cannot be read, or the weights lack a tensor, which transformers would make up.
        LoadError: the machine lacks the memory or the GPU.
    """
    if form == "int8":
        logging.getLogger("bitsandbytes").setLevel("ERROR")  # it warns about a cast in every product
        options["device_map"] = device
        if "quantization_config" not in json.loads((folder / "config.json").read_text(encoding="utf-8")):
            options["quantization_config"] = BitsAndBytesConfig(load_in_8bit=True)
    set_verbosity_error()  # it would print a table of the tensors that are refused below
    shape = ModelShape.read(folder)
    with readable("the model", folder):
        loaded, found = Pix2StructForConditionalGeneration.from_pretrained(
            folder,
            dtype=_DTYPES[form],
            attn_implementation="sdpa",
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            **{"use_safetensors": True, "local_files_only": True} | options,
        )
        require_tensors(folder, found["missing_keys"], [name for name, *_ in found["mismatched_keys"]])
        loaded.generation_config = _greedy(shape)
        return loaded.eval() if form == "int8" else loaded.eval().to(device)


def _greedy(shape: ModelShape) -> GenerationConfig:
    return GenerationConfig(
        do_sample=False,
        num_beams=1,
        decoder_start_token_id=shape.start_token_id,
        eos_token_id=list(shape.end_token_ids),
        pad_token_id=shape.pad_token_id,
    )
