"""The JSON files beside the weights of a MatCha checkpoint, in the forms found on the hub."""

from typing import Any, Final, Literal

ConfigForm = Literal["published", "difference", "whole"]
"""As Google published it, each part with every default of transformers 4.27; only what differs from a default, as
versions up to 4.57 saved it; as transformers 5 saves it."""

VOCABULARY: Final = 50_244
TEXT: Final = {"hidden_size": 32, "d_kv": 16, "d_ff": 48, "num_layers": 2, "num_heads": 2}
VISION: Final = {"hidden_size": 32, "d_kv": 16, "d_ff": 48, "num_hidden_layers": 2, "num_attention_heads": 2}

_TEXT_DEFAULTS: Final = {
    "decoder_start_token_id": 0,
    "dense_act_fn": "gelu_new",
    "dropout_rate": 0.1,
    "eos_token_id": 1,
    "initializer_factor": 1.0,
    "initializer_range": 0.02,
    "layer_norm_epsilon": 1e-06,
    "model_type": "pix2struct_text_model",
    "pad_token_id": 0,
    "relative_attention_max_distance": 128,
    "relative_attention_num_buckets": 32,
    "tie_word_embeddings": False,
    "use_cache": False,
    "vocab_size": VOCABULARY,
}
_VISION_DEFAULTS: Final = {
    "attention_dropout": 0.0,
    "dense_act_fn": "gelu_new",
    "dropout_rate": 0.0,
    "initializer_factor": 1.0,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-06,
    "model_type": "pix2struct_vision_model",
    "patch_embed_hidden_size": 768,
    "relative_attention_max_distance": 128,
    "relative_attention_num_buckets": 32,
    "seq_len": 4096,
}
_DEFAULTS_OF_4_27: Final = {
    "_name_or_path": "",
    "add_cross_attention": False,
    "architectures": None,
    "bad_words_ids": None,
    "begin_suppress_tokens": None,
    "bos_token_id": None,
    "chunk_size_feed_forward": 0,
    "cross_attention_hidden_size": None,
    "decoder_start_token_id": None,
    "diversity_penalty": 0.0,
    "do_sample": False,
    "early_stopping": False,
    "encoder_no_repeat_ngram_size": 0,
    "eos_token_id": None,
    "exponential_decay_length_penalty": None,
    "finetuning_task": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "id2label": {"0": "LABEL_0", "1": "LABEL_1"},
    "is_decoder": False,
    "is_encoder_decoder": False,
    "label2id": {"LABEL_0": 0, "LABEL_1": 1},
    "length_penalty": 1.0,
    "max_length": 20,
    "min_length": 0,
    "no_repeat_ngram_size": 0,
    "num_beam_groups": 1,
    "num_beams": 1,
    "num_return_sequences": 1,
    "output_attentions": False,
    "output_hidden_states": False,
    "output_scores": False,
    "pad_token_id": None,
    "prefix": None,
    "problem_type": None,
    "pruned_heads": {},
    "remove_invalid_values": False,
    "repetition_penalty": 1.0,
    "return_dict": True,
    "return_dict_in_generate": False,
    "sep_token_id": None,
    "suppress_tokens": None,
    "task_specific_params": None,
    "temperature": 1.0,
    "tf_legacy_loss": False,
    "tie_encoder_decoder": False,
    "tie_word_embeddings": True,
    "tokenizer_class": None,
    "top_k": 50,
    "top_p": 1.0,
    "torch_dtype": None,
    "torchscript": False,
    "transformers_version": "4.27.0.dev0",
    "typical_p": 1.0,
    "use_bfloat16": False,
}


def config(form: ConfigForm) -> dict[str, Any]:
    """``config.json``; its ``is_vqa`` is not the one that counts, and says false even where questions are drawn."""
    top = {
        "architectures": ["Pix2StructForConditionalGeneration"],
        "initializer_factor": 1.0,
        "initializer_range": 0.02,
        "is_encoder_decoder": True,
        "is_vqa": False,
        "model_type": "pix2struct",
        "tie_word_embeddings": False,
    }
    text: dict[str, Any]
    vision: dict[str, Any]
    if form == "published":
        text = _DEFAULTS_OF_4_27 | _TEXT_DEFAULTS | TEXT | {"encoder_hidden_size": VISION["hidden_size"]}
        vision = _DEFAULTS_OF_4_27 | _VISION_DEFAULTS | VISION
        own: dict[str, Any] = {"_commit_hash": None, "torch_dtype": "float32", "transformers_version": None}
    elif form == "difference":
        text, vision = TEXT | {"model_type": _TEXT_DEFAULTS["model_type"]}, VISION
        own = {"torch_dtype": "float32", "transformers_version": "4.57.1"}
    else:
        text = _TEXT_DEFAULTS | TEXT | {"is_decoder": True, "is_encoder_decoder": True, "dtype": "float32"}
        vision = _VISION_DEFAULTS | VISION | {"dtype": "float32"}
        own = {"dtype": "float32", "transformers_version": "5.23.0"}
    if form != "difference":
        own |= {"decoder_start_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
    return top | own | {"text_config": text, "vision_config": vision}


def generation_config(*, samples: bool) -> dict[str, Any]:
    """``generation_config.json``: what transformers derives, or one that samples, repeats and bounds lengths."""
    derived: dict[str, Any] = {"_from_model_config": True, "decoder_start_token_id": 0, "pad_token_id": 0}
    if not samples:
        return derived | {"eos_token_id": 1, "transformers_version": "4.57.1"}
    return {
        "decoder_start_token_id": 0,
        "do_sample": True,
        "eos_token_id": [1, 2],
        "max_length": 5,
        "min_length": 3,
        "no_repeat_ngram_size": 2,
        "num_beams": 2,
        "pad_token_id": 0,
        "repetition_penalty": 1.5,
        "temperature": 0.7,
        "transformers_version": "4.57.1",
    }


def preprocessor_config(*, is_vqa: bool) -> dict[str, Any]:
    """``preprocessor_config.json``; with ``is_vqa`` it has the 249 bytes of the published one."""
    return {
        "do_convert_rgb": True,
        "do_normalize": True,
        "image_processor_type": "Pix2StructImageProcessor",
        "is_vqa": is_vqa,
        "max_patches": 2048,
        "patch_size": {"height": 16, "width": 16},
        "processor_class": "Pix2StructProcessor",
    }


def tokenizer_config() -> dict[str, Any]:
    """``tokenizer_config.json``."""
    return {
        "additional_special_tokens": [],
        "eos_token": "</s>",
        "extra_ids": 0,
        "model_max_length": 1_000_000_000_000_000_019_884_624_838_656,
        "pad_token": "<pad>",
        "processor_class": "Pix2StructProcessor",
        "sp_model_kwargs": {},
        "tokenizer_class": "T5Tokenizer",
        "unk_token": "<unk>",
    }


SPECIAL_TOKENS: Final = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
"""``special_tokens_map.json``."""
