"""The usual alternatives, in Optimum's environment: transformers 4, or ``ORTModelForPix2Struct`` on Optimum's export.

A standalone script for another interpreter: it imports nothing from this project. For each line with the path of a
patches file, it prints the seconds taken for eight tokens, and the tokens.
"""

import json
import sys
import time
from typing import Any

import numpy as np
import torch

TOKENS = 8


def load(kind: str, folder: str, threads: int) -> Any:  # noqa: ANN401 a model of either library
    """Load the model with ``transformers`` in fp32, or with ``optimum`` in ONNX Runtime."""
    torch.set_num_threads(threads)
    if kind == "transformers":
        from transformers import Pix2StructForConditionalGeneration  # noqa: PLC0415 one of two

        return Pix2StructForConditionalGeneration.from_pretrained(folder).eval()
    import onnxruntime  # noqa: PLC0415 one of two
    from optimum.onnxruntime import ORTModelForPix2Struct  # noqa: PLC0415 torch takes seconds to import

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return ORTModelForPix2Struct.from_pretrained(folder, session_options=options)


def main(kind: str, folder: str, threads: str) -> None:
    """Answer until standard input ends."""
    model = load(kind, folder, int(threads))
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        patches = torch.from_numpy(np.load(line.strip()))[None]
        mask = torch.ones(patches.shape[:2], dtype=torch.int64)
        started_s = time.perf_counter()
        with torch.inference_mode():
            ids = model.generate(
                flattened_patches=patches, attention_mask=mask, max_new_tokens=TOKENS, do_sample=False, num_beams=1
            )
        seconds = time.perf_counter() - started_s
        print(json.dumps({"seconds": seconds, "tokens": ids[0, 1:].tolist()}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
