"""The JSON files beside the weights of a Qwen2-VL checkpoint, in the forms found on the hub."""

from typing import Any, Final, Literal

from tests.hub.vocabulary import special_ids
from tests.hub.weights import MROPE_SECTION, ROPE_THETA, TEXT, VISION

ConfigForm = Literal["flat", "rope_scaling", "rope_parameters"]
"""As released; with a ``text_config`` as transformers 4.52 to 4.57 saved it; as transformers 5 saves it."""

CHAT_TEMPLATE: Final = """\
{%- if messages[0].role != 'system' %}{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}
{%- for message in messages %}
    {{- '<|im_start|>' ~ message.role ~ '\\n' }}
    {%- if message.content is string %}
        {{- message.content }}
    {%- else %}
        {%- for part in message.content %}
            {%- if part.type == 'image' %}
                {{- '<|vision_start|><|image_pad|><|vision_end|>' }}
            {%- elif part.type == 'text' %}
                {{- part.text }}
            {%- endif %}
        {%- endfor %}
    {%- endif %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

_EOS: Final = "<|im_end|>"
_PAD: Final = "<|endoftext|>"
_LEAST_PIXELS: Final = 3_136
_MOST_PIXELS: Final = 12_845_056


def config(form: ConfigForm, *, tied: bool) -> dict[str, Any]:
    """``config.json``."""
    ids = special_ids()
    text = TEXT | {
        "attention_dropout": 0.0,
        "bos_token_id": ids[_PAD],
        "eos_token_id": ids[_EOS],
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "max_window_layers": 28,
        "sliding_window": 32_768,
        "use_cache": True,
        "use_sliding_window": False,
    }
    top = {
        "architectures": ["Qwen2VLForConditionalGeneration"],
        "image_token_id": ids["<|image_pad|>"],
        "model_type": "qwen2_vl",
        "tie_word_embeddings": tied,
        "video_token_id": ids["<|video_pad|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
    }
    if form == "flat":
        own = {"vision_token_id": ids["<|vision_pad|>"], "torch_dtype": "bfloat16", "transformers_version": "4.41.2"}
        rope = {"rope_theta": ROPE_THETA, "rope_scaling": {"type": "mrope", "mrope_section": MROPE_SECTION}}
        return top | own | text | rope | {"vision_config": VISION | {"in_chans": 3, "spatial_patch_size": 14}}
    nested = text | {"model_type": "qwen2_vl_text", "tie_word_embeddings": tied}
    if form == "rope_scaling":
        own = {"torch_dtype": "bfloat16", "transformers_version": "4.52.4"}
        kind = {"type": "default", "rope_type": "default", "mrope_section": MROPE_SECTION}
        nested |= {"rope_theta": ROPE_THETA, "rope_scaling": kind}
    else:
        own = {"dtype": "bfloat16", "transformers_version": "5.0.0"}
        nested["rope_parameters"] = {"rope_type": "default", "rope_theta": ROPE_THETA, "mrope_section": MROPE_SECTION}
    vision = {"in_channels": 3, "model_type": "qwen2_vl", "patch_size": 14, "spatial_merge_size": 2}
    return top | own | {"text_config": nested, "vision_config": VISION | vision}


def generation_config(*, samples: bool) -> dict[str, Any]:
    """``generation_config.json``: the releases' own, which samples and repeats, or the least that it may say."""
    ids = special_ids()
    if not samples:
        return {"eos_token_id": ids[_EOS], "transformers_version": "5.0.0"}
    return {
        "bos_token_id": ids[_PAD],
        "do_sample": True,
        "eos_token_id": [ids[_EOS], ids[_PAD]],
        "pad_token_id": ids[_PAD],
        "repetition_penalty": 1.05,
        "temperature": 0.1,
        "top_k": 1,
        "top_p": 0.001,
        "transformers_version": "4.37.0",
    }


def preprocessor_config(*, sized: bool) -> dict[str, Any]:
    """``preprocessor_config.json``, its bounds given as a ``size`` or as released."""
    bounds: dict[str, Any] = {"min_pixels": _LEAST_PIXELS, "max_pixels": _MOST_PIXELS}
    if sized:
        bounds = {"size": {"shortest_edge": _LEAST_PIXELS, "longest_edge": _MOST_PIXELS}}
    return bounds | {
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_processor_type": "Qwen2VLImageProcessor",
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "merge_size": 2,
        "patch_size": 14,
        "processor_class": "Qwen2VLProcessor",
        "temporal_patch_size": 2,
    }


def tokenizer_config(*, template: bool) -> dict[str, Any]:
    """``tokenizer_config.json``, with or without the chat template."""
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    own: dict[str, Any] = {"chat_template": CHAT_TEMPLATE} if template else {}
    return own | {
        "add_prefix_space": False,
        "added_tokens_decoder": {str(number): {"content": token} | flags for token, number in special_ids().items()},
        "additional_special_tokens": list(special_ids())[1:],
        "bos_token": None,
        "clean_up_tokenization_spaces": False,
        "eos_token": _EOS,
        "errors": "replace",
        "model_max_length": 32_768,
        "pad_token": _PAD,
        "padding_side": "left",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }
