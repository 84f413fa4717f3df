"""The Qwen2-VL model: prompt, network, prefix cache, sampling and detokenization."""
