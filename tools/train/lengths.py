#!/usr/bin/env python3
"""Bits per byte of the same bytes of a text in shorter and longer sequences, in PyTorch on a GPU, where 16 M tokens take seconds.

    tools/train/lengths.py MODEL TEXT       TEXT has 16 MiB; tools/evaluate --length asks the engine the same
"""
import json
import sys

import numpy as np
import torch

from checkpoint import load
from data import document
from model import surprisal

WHOLE = 1 << 24
LENGTHS = [1 << 16, 1 << 17, 1 << 20, 1 << 22, WHOLE]


def main():
    model = load(sys.argv[1]).to("cuda").eval()
    model.dtype = torch.bfloat16
    tokens = document(sys.argv[2], WHOLE)
    if len(tokens) < WHOLE:
        sys.exit(f"{sys.argv[2]} has less than {WHOLE} bytes")
    found = {}
    for length in LENGTHS:
        # Each sequence begins with BOS, as a file does.
        bits = [surprisal(model, torch.cat([tokens[:1], tokens[first + 1 : first + 1 + length]]).cuda())[1:].cpu() for first in range(0, WHOLE, length)]
        found[length] = float(np.concatenate(bits).mean(dtype=np.float64))
        print(f"{sys.argv[1]}: {length:,} bytes a sequence: {found[length]:.4f} bits per byte", flush=True)
    print(json.dumps({"model": sys.argv[1], "bits per byte": found}))


if __name__ == "__main__":
    main()
