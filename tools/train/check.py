#!/usr/bin/env python3
"""Compares the trained model's code with other implementations.

    tools/train/check.py fixtures CASE...        outputs of Tests/Fixtures, or of any folders of that form
    tools/train/check.py gpu                     a model's bits and gradients on a GPU with those on the processor
    tools/train/check.py engine MODEL FILE NLL   surprisal of a file as `bbp-stream score --nll` wrote it, or `forward --nll` after it was ingested alone
"""
import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from checkpoint import load
from model import BOS, EOS, Config, Proton, bits_of, surprisal


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


def gpu(arguments):
    """A model's training on a GPU with that on the processor: bf16 rounding apart, the same bits and gradients."""
    if not torch.cuda.is_available():
        sys.exit("there is no GPU to compare with")
    torch.manual_seed(1)
    for P, heads, delegates in [(32, 2, True), (64, 4, True), (64, 4, False), (256, 2, True)]:
        model = Proton(Config(64 * heads, 2, heads, P, 96, 3, positional_encoding="coord_conv", delegates=delegates))
        torch.nn.init.normal_(model.head, std=0.1)
        tokens = torch.randint(0, 256, (2, 8 * P))
        found = []
        for device in ("cpu", "cuda"):
            model.to(device).zero_grad()
            model.dtype = torch.bfloat16 if device == "cuda" else torch.float32
            bits = bits_of(model, tokens.to(device), start=12345)
            bits.mean().backward()
            found.append((bits.detach().cpu(), torch.cat([parameter.grad.cpu().flatten() for parameter in model.parameters()])))
        for name, wanted, got in zip(("bits", "gradients"), *found):
            error = float((got - wanted).norm() / wanted.norm())
            print(f"P {P:3} heads {heads} delegates {delegates}: {name} differ by {error:.1e}")
            if not error < 3e-2:
                sys.exit("the GPU computes something else")


def engine(arguments):
    """Mean within 0.02 bits, and every token within 1e-3 bits where --exact asks for it (f32 weights, f32 states)."""
    model = load(arguments.model)
    tokens = torch.from_numpy(np.concatenate([[BOS], np.fromfile(arguments.file, np.uint8), [EOS]]).astype(np.int64))
    mine, theirs = surprisal(model, tokens).numpy()[1:], np.load(arguments.nll)
    # `score` gives a file's bytes; `forward` BOS, whose surprisal is none, and EOS too.
    mine, theirs = (mine, theirs[1:]) if len(theirs) and np.isnan(theirs[0]) else (mine[:-1], theirs)
    if len(mine) != len(theirs):
        n = len(tokens) - 2
        sys.exit(f"{arguments.nll} is of another file: of the {n} bytes of {arguments.file} score gives {n} values, and forward {n + 2}")
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
    commands.add_parser("gpu").set_defaults(run=gpu)
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
