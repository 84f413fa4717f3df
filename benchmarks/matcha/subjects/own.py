"""One of our variants end to end: header, patches, model and tokenizer, as in the service's worker.

Uses the same line protocol as ``peer``: an image path in, seconds and tokens out.
"""

import json
import sys
import time
from pathlib import Path

from benchmarks.matcha.subjects.peer import TOKENS
from services.matcha.backends import Hardware
from services.matcha.engine import ChartQA
from services.matcha.types import ChartAnswer, ChartQuestion

QUESTION = "What is the value of the highest bar?"


def main(variant: str, folder: str, threads: str, max_patches: str) -> None:
    """Answer until standard input ends."""
    engine = ChartQA.load(Path(folder), None, variant, Hardware(int(threads)))
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        question = ChartQuestion(Path(line.strip()).read_bytes(), QUESTION, TOKENS, int(max_patches))
        started_s = time.perf_counter()
        (answer,) = engine.answer([question])
        seconds = time.perf_counter() - started_s
        if not isinstance(answer, ChartAnswer):
            raise answer
        reply = {"seconds": seconds, "tokens": [0] * answer.completion_tokens, "preprocess_ms": answer.preprocess_ms}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
