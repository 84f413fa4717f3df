"""State of one answer during generation: its tokens, its text and its finish reason."""

import torch

from services.qwen_vl.lens.trace import Trace
from services.qwen_vl.model.detokenizer import Detokenizer
from services.qwen_vl.model.network import Sequence
from services.qwen_vl.model.prompt import Prompt
from services.qwen_vl.model.sampling import Sampler
from services.qwen_vl.types import FinishReason, Piece, Question, TokenScores


class Generation:
    """One answer between two steps; ``sequence`` is the decoding state, ``trace`` the lens if requested."""

    def __init__(
        self,
        question: Question,
        prompt: Prompt,
        sequence: Sequence,
        text: Detokenizer,
        eos_ids: list[int],
        trace: Trace | None,
    ) -> None:
        self.question = question
        self.prompt = prompt
        self.sequence = sequence
        self.text = text
        self.trace = trace
        self.token_ids: list[int] = []
        self.finish_reason: FinishReason | None = None
        self._sampler = Sampler(question.sampling)
        self._eos_ids = eos_ids

    @property
    def wants_states(self) -> bool:
        """Whether the next step must record states."""
        return self.trace is not None and self.trace.wants_step

    def advance(self, logits: torch.Tensor, states: list[torch.Tensor]) -> Piece:
        """Pick the next token from float32 logits (vocabulary); ``states`` are each layer's (hidden), if wanted."""
        token_id = self._sampler.pick(logits)
        if self.trace is not None and self.trace.wants_step:
            self.trace.add_step(states, logits, token_id)
        self.token_ids.append(token_id)
        self.sequence.token_id = token_id
        ended = token_id in self._eos_ids
        piece = "" if ended else self.text.push(token_id)
        self.finish_reason = self._finish(ended=ended)
        if self.finish_reason is not None:
            piece += self.text.rest()
        return Piece(piece, None if ended else self._scores(logits, token_id))

    def _finish(self, *, ended: bool) -> FinishReason | None:
        if ended or self.text.stopped:
            return "stop"
        return "length" if len(self.token_ids) >= self.question.max_new_tokens else None

    def _scores(self, logits: torch.Tensor, token_id: int) -> TokenScores | None:
        wanted = self.question.top_logprobs
        if wanted is None:
            return None
        log_probs = logits.log_softmax(-1)
        best = log_probs.topk(min(wanted, len(log_probs)))
        top = list(zip(best.indices.tolist(), best.values.tolist(), strict=True))
        return TokenScores((token_id, float(log_probs[token_id])), top)
