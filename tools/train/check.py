#!/usr/bin/env python3
"""Compares the trained model's code with other implementations.

    tools/train/check.py fixtures CASE...        outputs of Tests/Fixtures, or of any folders of that form
    tools/train/check.py kernels                 the GPU's attention with the definition, forward and backward
    tools/train/check.py engine MODEL FILE NLL   surprisal that `bbp-stream forward --nll` wrote, of a file ingested alone
"""
import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from attention import attend
from checkpoint import load
from model import BOS, EOS, surprisal


def fixtures(arguments):
    """States within 2e-4 of the largest, surprisal within 2e-4 bits: float32 against float64."""
    for case in map(Path, arguments.cases):
        tokens = torch.from_numpy(np.fromfile(case / "tokens.u16", "<u2").astype(np.int64))
        model, n = load(case), len(tokens)
        states = []
        with torch.no_grad():
            model(torch.nn.functional.pad(tokens, (0, -n % model.config.patch_size), value=258)[None], keep=states)
        worst = 0.0
        for name, state in (("layer1", states[0]), ("hidden", states[-1])):
            wanted = np.load(case / f"{name}.npy")
            worst = max(worst, float(np.abs(state[:n].numpy() - wanted).max() / np.abs(wanted).max()))
        if n > 1:
            worst = max(worst, float(np.abs(surprisal(model, tokens).numpy() - np.load(case / "nll_bits.npy"))[1:].max()))
        if not worst < 2e-4:
            sys.exit(f"{case}: differs by {worst:.1e}")
        print(f"{case}: agrees to {worst:.1e}")


def kernels(arguments):
    """bf16 rounding apart (5e-3 of the norm), for several patch sizes, lengths and head sizes, with delegates and without."""
    torch.manual_seed(1)
    device = arguments.device
    for P, heads, width, length, sequences, delegates in [
        (16, 2, 32, 16, 3, True), (16, 2, 16, 48, 3, True), (32, 4, 32, 1024, 5, True), (64, 2, 32, 64 * 37, 2, True), (64, 4, 64, 4096, 2, True),
        (64, 2, 32, 4096, 2, False), (128, 2, 32, 128 * 9, 2, True), (256, 2, 32, 256 * 5, 1, True), (512, 1, 64, 1024, 1, True), (128, 2, 32, 1024, 2, False),
    ]:
        rows = length * sequences * (2 if delegates else 1)
        qkv = torch.randn(rows, 3 * heads * width, dtype=torch.bfloat16)
        grad = torch.randn(rows, heads * width, dtype=torch.bfloat16)
        outcome = []
        for where, dtype in (("cpu", torch.float32), (device, torch.bfloat16)):
            x = qkv.to(where, dtype).requires_grad_()
            if where == "cpu":
                y = attend(x, heads, P, length, delegates)
            else:
                from attention_triton import PatchAttention

                y = PatchAttention.apply(x, heads, P, length, delegates)
            y.backward(grad.to(where, dtype))
            outcome.append((y.detach().float().cpu(), x.grad.float().cpu()))
        for name, wanted, got in zip(("result", "gradient"), *outcome):
            error = float((got - wanted).norm() / wanted.norm())
            print(f"P {P:3} heads {heads} x {width} length {length} delegates {delegates}: {name} differs by {error:.1e}")
            if not error < 5e-3:
                sys.exit("the kernels are wrong")


def engine(arguments):
    """Mean within 0.02 bits, and every token within 1e-3 bits where --exact asks for it (f32 weights, f32 states)."""
    model = load(arguments.model)
    tokens = torch.from_numpy(np.concatenate([[BOS], np.fromfile(arguments.file, np.uint8), [EOS]]).astype(np.int64))
    mine, theirs = surprisal(model, tokens).numpy()[1:], np.load(arguments.nll)[1:]
    if len(mine) != len(theirs):
        sys.exit(f"{arguments.nll} has {len(theirs) + 1} tokens, the file {len(mine) + 1} with BOS and EOS")
    worst, means = float(np.abs(mine - theirs).max()), (float(mine.mean()), float(theirs.mean()))
    print(f"{len(mine)} tokens: means {means[0]:.5f} and {means[1]:.5f} bits, largest difference {worst:.1e}")
    if not abs(means[0] - means[1]) < 0.02 or (arguments.exact and not worst < 1e-3):
        sys.exit("they disagree")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("fixtures")
    command.add_argument("cases", nargs="+")
    command.set_defaults(run=fixtures)
    command = commands.add_parser("kernels")
    command.add_argument("--device", default="cuda")
    command.set_defaults(run=kernels)
    command = commands.add_parser("engine")
    command.add_argument("model")
    command.add_argument("file")
    command.add_argument("nll")
    command.add_argument("--exact", action="store_true")
    command.set_defaults(run=engine)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
