#!/usr/bin/env python3
"""Writes a checkpoint of random weights in the shape of the published BigBang-Proton model, to convert and to run.

    tools/checkpoints/make_large.py OUT.pth [--layers 20] [--hidden 1024] [--intermediate 2048] [--kernel 33]
                                         [--dtype f32|f16|bf16] [--seed 1]

The defaults make 1.5 thousand million numbers, 3 GB in bf16. Weights are normal with deviation 1/sqrt(inputs), norms near
one. Memory holds the numbers once. Needs PyTorch.
"""

import argparse
import os
import sys

try:
    import torch
except ImportError:
    print("make_large: the Python package torch is missing: pip install torch", file=sys.stderr)
    sys.exit(69)

VOCABULARY = 259
TYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def random_state(options):
    """Every tensor of the published state dict, `s1` and `s2` of the blocks among them."""
    random = torch.Generator().manual_seed(options.seed)
    hidden, inner = options.hidden, options.intermediate
    kind = TYPES[options.dtype]

    def normal(deviation, *shape):
        return torch.empty(shape, dtype=kind).normal_(0, deviation, generator=random)

    def norm(name):
        return {name + ".weight": 1 + normal(0.1, hidden), name + ".bias": normal(0.1, hidden)}

    near_one = hidden ** -0.5
    state = {
        "codebook": normal(0.5, VOCABULARY, hidden),
        "coord_conv.conv.weight": normal(24 ** -0.5, hidden, 8, 3), "coord_conv.scale": torch.full([1], 0.5, dtype=kind),
    }
    for layer in range(options.layers):
        block = norm("pre_norm.norm") | norm("norm1.norm") | {
            "cov1_delegate.weight": normal(near_one, hidden, hidden, 1, 1), "cov1_delegate.bias": normal(0.1, hidden),
            "self_attn.qkv.weight": normal(near_one, 3 * hidden, hidden, 1, 1),
            "self_attn.proj.weight": normal(near_one, hidden, hidden, 1, 1), "self_attn.proj.bias": normal(0.1, hidden),
            "cov3.weight": normal((hidden * options.kernel) ** -0.5, inner, hidden, options.kernel),
            "cov3.bias": normal(0.1, inner),
            "cov4.weight": normal(inner ** -0.5, hidden, inner, 1), "cov4.bias": normal(0.1, hidden),
            "s1": normal(1, 1), "s2": normal(1, 1),
        }
        state |= {f"blocks.{layer}.{name}": tensor for name, tensor in block.items()}
    return state | norm("norm") | {"fc.weight": normal(near_one, VOCABULARY, hidden), "fc.bias": normal(0.1, VOCABULARY)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", metavar="OUT.pth")
    for name, default in (("layers", 20), ("hidden", 1024), ("intermediate", 2048), ("kernel", 33), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"(default {default})")
    parser.add_argument("--dtype", choices=tuple(TYPES), default="bf16", help="(default bf16)")
    options = parser.parse_args()
    if min(options.layers, options.hidden, options.intermediate, options.kernel) < 1 or options.hidden % 8:
        print("make_large: all sizes must be at least 1, and --hidden a multiple of 8", file=sys.stderr)
        sys.exit(64)
    state = random_state(options)
    partial = options.out + ".partial"
    try:
        torch.save(state, partial)
        os.replace(partial, options.out)
    except (OSError, RuntimeError) as error:  # PyTorch's writer says what the system refused in a RuntimeError
        if os.path.exists(partial):
            os.remove(partial)
        print(f"make_large: {options.out}: cannot write: {str(error).splitlines()[0]}", file=sys.stderr)
        sys.exit(73)
    count = sum(tensor.numel() for tensor in state.values())
    print(f"{options.out}: {count:,} numbers, {os.path.getsize(options.out):,} bytes")


if __name__ == "__main__":
    main()
