#!/usr/bin/env python3
"""Bits per byte of the same bytes of a text in shorter and longer sequences, in PyTorch on a GPU, where 16 M tokens
take seconds; where there is none, on the processor.

    tools/train/lengths.py MODEL TEXT [--bytes N]     of the first 16 MiB

tools/evaluate --length asks the engine the same.
"""
import argparse
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
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("text")
    parser.add_argument("--bytes", type=int, default=WHOLE, help="a multiple of 65536 (16 MiB)")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = load(options.model).to(device).eval()
    model.dtype = torch.bfloat16 if device == "cuda" else torch.float32
    tokens = document(options.text, options.bytes)
    if len(tokens) < options.bytes:
        sys.exit(f"{options.text} has less than {options.bytes} bytes")
    found = {}
    for length in (length for length in LENGTHS if length <= options.bytes):
        # Each sequence begins with BOS, as a file does.
        bits = [surprisal(model, torch.cat([tokens[:1], tokens[first + 1 : first + 1 + length]]).to(device))[1:].cpu()
                for first in range(0, options.bytes, length)]
        found[length] = float(np.concatenate(bits).mean(dtype=np.float64))
        print(f"{options.model}: {length:,} bytes a sequence: {found[length]:.4f} bits per byte", flush=True)
    print(json.dumps({"model": options.model, "bits per byte": found}))


if __name__ == "__main__":
    main()
