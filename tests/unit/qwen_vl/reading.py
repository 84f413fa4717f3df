"""What plain transformers calls compute for a question, as the oracle."""

from typing import Any

import torch

from services.qwen_vl.engine import VisionQA
from services.qwen_vl.types import Question


def plain_forward(model: Any, engine: VisionQA, question: Question, answer: list[int]) -> Any:
    """What transformers computes for a prompt followed by the answer's tokens, in one pass."""
    prompt = engine.prompts.build(question)
    ids = torch.cat([prompt.input_ids, torch.tensor([answer], dtype=torch.long)], dim=1)
    kinds = torch.cat([prompt.mm_token_type_ids, torch.zeros(1, len(answer), dtype=torch.long)], dim=1)
    with torch.inference_mode():
        output = model(
            input_ids=ids,
            mm_token_type_ids=kinds,
            pixel_values=torch.cat([engine.prompts.pixels(span) for span in prompt.spans]).to(model.dtype),
            image_grid_thw=prompt.image_grid_thw,
            output_hidden_states=True,
        )
    return prompt, output


def plain_lens(model: Any, output: Any, position: int) -> list[torch.Tensor]:
    """The definition written out: the distribution of every layer at one position."""
    norm, head = model.model.language_model.norm, model.lm_head
    with torch.inference_mode():
        inner = [head(norm(state[0, position])).float().softmax(-1) for state in output.hidden_states[:-1]]
    return [*inner, output.logits[0, position].float().softmax(-1)]
