"""Which fields of a chat request are used, which are taken without effect, and which are refused: one table.

A field that a request model has is used. Of the others, one that cannot change what a client may rely on is taken and
named in the answer; one that would change the answer's form or meaning is refused by its name. A field of null is a
field left out. Pydantic and the standard library only.
"""

import json
from collections.abc import Container, Mapping, Sequence
from typing import Any, Final

from services.wire.contract import printable, without_nulls
from services.wire.errors import InvalidRequestError

Fields = dict[str, Any]

HINTS: Final = frozenset({
    # bookkeeping, caches, priorities
    "user", "metadata", "store", "safety_identifier", "service_tier", "request_id", "session_id", "trace", "priority",
    "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "cache_prompt", "cache_salt", "keep_alive",
    # how much to think, how to compute: nothing that an answer promises
    "ignore_eos",  # load generators send it to get answers of equal length; an answer ends where it ends
    "reasoning_effort", "reasoning", "include_reasoning", "verbosity", "prediction", "parallel_tool_calls",
})  # fmt: skip
"""Taken with any value."""

NEUTRAL: Final[Mapping[str, Sequence[object]]] = {
    # OpenAI's
    "n": (1,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "audio": (),
    "moderation": (),
    "web_search_options": (),
    # other servers'
    "add_generation_prompt": (True,),
    "add_special_tokens": (False,),
    "allowed_token_ids": ([],),
    "bad_words": ([],),
    "best_of": (1,),
    "chat_template_kwargs": ({}, {"enable_thinking": False}, {"thinking": False}),
    "continue_final_message": (False,),
    "documents": ([],),
    "dry_multiplier": (0,),
    "echo": (False,),
    "enable_thinking": (False,),
    "grammar": ("",),
    "include_stop_str_in_output": (False,),
    "length_penalty": (1,),
    "logits_processors": ([],),
    "min_tokens": (0,),
    "mm_processor_kwargs": ({},),
    "no_repeat_ngram_size": (0,),
    "plugins": ([],),
    "repeat_penalty": (1,),
    "repetition_penalty": (1,),
    "return_token_ids": (False,),
    "return_tokens_as_token_ids": (False,),
    "skip_special_tokens": (True,),
    "spaces_between_special_tokens": (True,),
    "stop_token_ids": ([],),
    "thinking": ({"type": "disabled"},),
    "transforms": ([],),
    "use_beam_search": (False,),
}
"""Taken only with a value that changes nothing."""

SAMPLING: Final[Mapping[str, Sequence[object]]] = {
    "do_sample": (True,),
    "dynatemp_range": (0,),
    "min_p": (0,),
    "mirostat": (0,),
    "tfs_z": (1,),
    "top_a": (0,),
    "top_k": (-1, 0),
    "typical_p": (1,),
    "xtc_probability": (0,),
}
"""Taken with any value where decoding is greedy, else as ``NEUTRAL``."""

_STREAM_HINTS: Final = frozenset({"include_obfuscation", "continuous_usage_stats"})
_TURN_HINTS: Final = frozenset({
    "name", "id", "metadata", "cache_control", "prompt_cache_breakpoint", "created", "created_at", "timestamp",
    "annotations", "citations", "index", "detail", "format", "uuid", "response_metadata", "additional_kwargs",
})  # fmt: skip
_ROLES: Final = ("system", "developer", "user", "assistant")
_CALLS: Final = frozenset({"tool_calls", "function_call"})


class Sorted:
    """A chat request's fields, sorted: ``fields`` are those to be used, ``ignored`` the names of those without effect.

    Args:
        sent: the request as the client wrote it.
        used: the names of the request model's fields.
        greedy: whether the service always decodes greedily.

    Raises:
        InvalidRequestError: a field would change the answer's form or meaning; the error names it.
    """

    def __init__(self, sent: Fields, used: Container[str], *, greedy: bool) -> None:
        self.ignored: list[str] = []
        fields = without_nulls(sent)
        greedy = greedy or fields.get("temperature", 0) == 0
        self.fields = {name: value for name, value in fields.items() if self._is_used(name, value, used, greedy)}
        if isinstance(options := self.fields.get("stream_options"), dict):
            self._sort_stream_options(options)
        if isinstance(messages := self.fields.get("messages"), list):
            self.fields["messages"] = [self._message(message, f"messages.{at}") for at, message in enumerate(messages)]

    def _is_used(self, name: str, value: object, used: Container[str], greedy: bool) -> bool:  # noqa: FBT001 a filter
        if name in used:
            return True
        neutral = NEUTRAL.get(name, SAMPLING.get(name))
        taken = name in HINTS or (name in SAMPLING and greedy) or (neutral is not None and _among(value, neutral))
        if not taken and neutral is not None:
            rest = f"leave it out{''.join(f', or send {json.dumps(value)}' for value in neutral)}"
            message = f"'{name}' with this value would change the answer, and is not supported here: {rest}"
            raise InvalidRequestError(message, name)
        if not taken:
            message = f"'{printable(name)}' is not a field of this request: leave it out, or see /docs for the fields"
            raise InvalidRequestError(message, printable(name))
        self.ignored.append(name)
        return False

    def _sort_stream_options(self, options: Fields) -> None:
        if self.fields.get("stream") is not True:
            del self.fields["stream_options"]
            self.ignored.append("stream_options")
            return
        hints = [name for name in options if name in _STREAM_HINTS and options[name] is not None]
        self.ignored += [f"stream_options.{name}" for name in hints]
        self.fields["stream_options"] = without_nulls({**options, **dict.fromkeys(hints)})

    def _message(self, message: object, path: str) -> object:
        if not isinstance(message, dict):
            return message
        turn = without_nulls(message)
        if turn.get("role") not in _ROLES:
            return message
        answered = turn["role"] == "assistant"
        if answered and _is_empty(turn.get("content", "")):
            refusal = turn.get("refusal")
            turn["content"] = turn.pop("refusal") if isinstance(refusal, str) else ""
        for name in [name for name in turn if name not in {"role", "content"}]:
            if _is_empty(turn[name]) or name in _TURN_HINTS or (answered and name not in _CALLS):
                self._drop(turn, name, path)
            else:
                where = printable(f"{path}.{name}")
                problem = f"'{where}' is not read here, and the answer might depend on it: leave it out"
                raise InvalidRequestError(problem, where)
        if isinstance(content := turn.get("content"), list):
            turn["content"] = [self._part(part, f"{path}.content.{at}") for at, part in enumerate(content)]
        return turn

    def _part(self, part: object, path: str) -> object:
        if not isinstance(part, dict):
            return part
        part = without_nulls(part)
        for name in [name for name in part if name in _TURN_HINTS]:
            self._drop(part, name, path)
        if part.get("type") == "refusal" and isinstance(part.get("refusal"), str):
            return {"type": "text", "text": part["refusal"]}
        if isinstance(image := part.get("image_url"), str):
            part["image_url"] = {"url": image}
        elif isinstance(image, dict):
            part["image_url"] = image = without_nulls(image)
            for name in [name for name in image if name in _TURN_HINTS]:
                self._drop(image, name, f"{path}.image_url")
        return part

    def _drop(self, fields: Fields, name: str, path: str) -> None:
        del fields[name]
        self.ignored.append(f"{path}.{name}")


def _is_empty(value: object) -> bool:
    return value in ("", [], {})


def _among(value: object, neutral: Sequence[object]) -> bool:
    """Whether a value is one of the neutral ones; true is not 1, nor false 0."""
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in neutral)
