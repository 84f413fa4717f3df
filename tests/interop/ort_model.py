"""Runs in Optimum's environment: greedy tokens of ``ORTModelForPix2Struct`` on a folder, for patches from a file."""

import json
import sys

import numpy as np
import torch
from optimum.onnxruntime import ORTModelForPix2Struct

model = ORTModelForPix2Struct.from_pretrained(sys.argv[1])
with np.load(sys.argv[2]) as images:
    for name in images.files:
        patches = torch.from_numpy(images[name])[None]
        mask = torch.ones(patches.shape[:2], dtype=torch.int64)
        ids = model.generate(flattened_patches=patches, attention_mask=mask, max_new_tokens=16, do_sample=False)
        print(json.dumps(ids[0, 1:].tolist()))
