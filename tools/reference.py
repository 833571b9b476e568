#!/usr/bin/env python3
"""Float64 reference of the BigBang-Proton model and its wider family, and the maker of test cases.

    tools/reference.py check CASE_DIR
    tools/reference.py make DIR --seed S --tokens n --patch-size P --heads H --hidden-size D
                                --intermediate-size F --layers L --kernel-size K
                                [--recurrence R] [--delegation transpose|monte-carlo|selective] [--delegation-seed S]
                                [--tcn KERNELxDILATION:CHANNELS,...] [--hidden-act gelu|relu]
                                [--positional-encoding coord_conv|none] [--bidirectional]
                                [--mixers JSON|FILE] [--no-mixer-norm LAYER,...]

    tools/reference.py mixer DIR --seed S --tokens n --hidden-size D --mixer JSON [--no-norm]

A case directory holds

    config.json         the model's shape, in the fields that the engine reads
    model.safetensors   its weights, float32
    tokens.u16          the input, little-endian 16-bit token numbers
    layer1.npy          what the first pass gives, [n, D] float32
    hidden.npy          what the last pass gives, before the head's norm, [n, D] float32
    nll_bits.npy        the cost of each token in bits, [n] float32, NaN for the first

`mixer` writes a case of one mixer by itself: config.json (hidden_size, mixer), model.safetensors (its tensors, of block
0), u.npy, its input, and y.npy, its output, [n, D] float32; v_first.npy, the values of the model's first layer, for a
mixer that blends its own with them.

`check` computes the three outputs again and compares; it exits 1 where they differ by more than 1e-5.
`make` writes such a directory with random weights and random documents. All arithmetic is float64: the
outputs are exact to float32 rounding, whatever order an engine adds things up in.

The model is in reference_model.py, its mixers other than Monte Carlo Attention in reference_mixers.py, what
cases are made from in reference_cases.py. Only NumPy is needed.
"""

import argparse
import json
import os
import re
import sys

import numpy as np

from reference_cases import (VOCABULARY, closest_scores, random_mixer, random_tokens, random_weights, read_safetensors,
                             write_safetensors)
import reference_mixers
from reference_mixers import Impossible
from reference_model import ACTIVATIONS, DEFAULTS, run

TOLERANCE = 1e-5
CLOSEST_SCORES = 1e-4  # of their spread; an engine in float32 may order closer ones differently
LARGEST_PATCH = 16384
LARGEST_SEED = (1 << 63) - 1


def check(case):
    """Compare a case's outputs with this reference; True when all agree."""
    def at(name):
        return os.path.join(case, name)

    with open(at("config.json")) as file:
        config = DEFAULTS | json.load(file)
    tokens = np.fromfile(at("tokens.u16"), "<u2").astype(np.int64)
    computed = run(config, read_safetensors(at("model.safetensors")), tokens)
    good, words = True, []
    for name, mine in computed.items():
        stored = np.load(at(name + ".npy")).astype(np.float64)
        if stored.shape != mine.shape or not np.array_equal(np.isnan(stored), np.isnan(mine)):
            good = False
            words.append(f"{name} has another shape or other NaNs")
            continue
        difference = np.abs(stored - mine)
        worst = np.max(difference[~np.isnan(difference)], initial=0.0)
        good = good and worst <= TOLERANCE
        words.append(f"{name} {worst:.2e}")
    print(f"{case}: n={len(tokens)}, largest differences: {', '.join(words)}: {'good' if good else 'DIFFERENT'}")
    return good


def convolutions(text):
    """"3x2:16,5:24" -> the `tcn` field: kernel 3 with dilation 2 and 16 channels, then kernel 5 with 24 channels."""
    stack = []
    for part in text.split(","):
        match = re.fullmatch(r"([1-9]\d*)(?:x([1-9]\d*))?:([1-9]\d*)", part)
        if not match:
            raise argparse.ArgumentTypeError(f"{part!r} is not KERNEL:CHANNELS or KERNELxDILATION:CHANNELS")
        kernel, dilation, channels = match.groups()
        stack.append({"kernel_size": int(kernel), **({"dilation": int(dilation)} if dilation else {}), "channels": int(channels)})
    return stack


def mixers(text):
    """JSON, or the path of a file of it -> the `mixers` field, a list, or the `mixer` field, an object."""
    try:
        if os.path.isfile(text):
            with open(text) as file:
                text = file.read()
        value = json.loads(text)
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a file nor JSON: {error}")
    if not all(isinstance(mixer, dict) for mixer in (value if isinstance(value, list) else [value])):
        raise argparse.ArgumentTypeError("neither an object nor a list of objects")
    return value


def layer_numbers(text):
    """"1,3" -> {1, 3}"""
    return {int(number) for number in text.split(",")}


def refuse_impossible(options):
    """Exit where no model has these sizes."""
    for name in ("tokens", "patch_size", "heads", "hidden_size", "intermediate_size", "layers", "kernel_size", "recurrence"):
        if getattr(options, name) < 1:
            raise SystemExit(f"--{name.replace('_', '-')} must be at least 1")
    if options.patch_size > LARGEST_PATCH:
        raise SystemExit(f"--patch-size must be at most {LARGEST_PATCH}")
    if options.hidden_size % options.heads:
        raise SystemExit("--hidden-size must be a multiple of --heads")
    if options.positional_encoding == "coord_conv" and options.hidden_size % 8:
        raise SystemExit("--hidden-size must be a multiple of 8, or --positional-encoding none")
    if options.delegation_seed and options.delegation != "monte-carlo":
        raise SystemExit("--delegation-seed belongs to --delegation monte-carlo")
    if not 0 <= options.delegation_seed <= LARGEST_SEED:
        raise SystemExit(f"--delegation-seed must be 0 to {LARGEST_SEED}")


def config_of(options):
    """config.json: the sizes, and the options of the wider family that are not the defaults. A stack has sizes of its own."""
    config = {"model_type": "bigbang-proton", "vocab_size": VOCABULARY, "hidden_size": options.hidden_size}
    if not options.tcn:
        config["intermediate_size"] = options.intermediate_size
    config["num_hidden_layers"] = options.layers
    config["num_attention_heads"] = options.heads
    config["patch_size"] = options.patch_size
    if not options.tcn:
        config["conv_kernel_size"] = options.kernel_size
    config |= {"hidden_act": options.hidden_act, "layer_norm_eps": 1e-5, "torch_dtype": "float32"}

    delegation = {"mode": options.delegation}
    if options.delegation == "monte-carlo":
        delegation["seed"] = options.delegation_seed
    wider = {
        "recurrence": options.recurrence,
        "delegation": delegation,
        "tcn": options.tcn,
        "positional_encoding": options.positional_encoding,
        "causal": not options.bidirectional,
        "mixer": options.mixers if isinstance(options.mixers, dict) else DEFAULTS["mixer"],
        "mixers": options.mixers if isinstance(options.mixers, list) else None,
    }
    return config | {name: value for name, value in wider.items() if value != DEFAULTS[name]}


def make(options):
    """Write a case directory."""
    refuse_impossible(options)
    stored_config = config_of(options)
    config = DEFAULTS | stored_config
    random = np.random.default_rng(options.seed)
    weights = random_weights(random, config)
    for layer in options.no_mixer_norm:
        if weights.pop(f"blocks.{layer}.mixer.norm.weight", None) is None:
            raise SystemExit(f"--no-mixer-norm {layer}: there is no norm.weight that layer {layer} could go without")
    tokens = random_tokens(random, options.tokens)
    exact_weights = {name: tensor.astype(np.float64) for name, tensor in weights.items()}
    if options.delegation == "selective" and (closest := closest_scores(config, exact_weights, tokens)) < CLOSEST_SCORES:
        raise SystemExit(f"{options.directory}: two scores of a patch are {closest:.1e} of their spread apart, and float32 may "
                         f"order them otherwise; take another --seed than {options.seed}")
    outputs = run(config, exact_weights, tokens)

    os.makedirs(options.directory, exist_ok=True)

    def at(name):
        return os.path.join(options.directory, name)

    with open(at("config.json"), "w") as file:
        file.write(json.dumps(stored_config, indent=2) + "\n")
    write_safetensors(at("model.safetensors"), weights)
    tokens.astype("<u2").tofile(at("tokens.u16"))
    for name, output in outputs.items():
        np.save(at(name + ".npy"), output.astype("<f4"))
    print(f"{options.directory}: n={options.tokens}, "
          f"{sum(os.path.getsize(at(name)) for name in os.listdir(options.directory)):,} bytes")


def make_mixer(options):
    """Write a case of one mixer by itself."""
    random = np.random.default_rng(options.seed)
    weights = random_mixer(random, options.mixer, options.hidden_size, "blocks.0.mixer.")
    if options.no_norm:
        weights.pop("blocks.0.mixer.norm.weight", None)
    rows = random.standard_normal((options.tokens, options.hidden_size)).astype(np.float32)
    exact = {name: tensor.astype(np.float64) for name, tensor in weights.items()}
    values = None
    if reference_mixers.complete(options.mixer, options.hidden_size).get("first") is False:
        values = random.standard_normal((options.tokens, options.hidden_size)).astype(np.float32)
    mixed = reference_mixers.mix(rows.astype(np.float64), exact, "blocks.0.mixer.", options.mixer,
                                 None if values is None else values.astype(np.float64))
    os.makedirs(options.directory, exist_ok=True)

    def at(name):
        return os.path.join(options.directory, name)

    with open(at("config.json"), "w") as file:
        file.write(json.dumps({"hidden_size": options.hidden_size, "mixer": options.mixer}, indent=2) + "\n")
    write_safetensors(at("model.safetensors"), weights)
    np.save(at("u.npy"), rows)
    if values is not None:
        np.save(at("v_first.npy"), values)
    np.save(at("y.npy"), mixed.astype("<f4"))
    print(f"{options.directory}: n={options.tokens}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    checking = commands.add_parser("check", help="compute a case again and compare")
    checking.add_argument("directory", metavar="CASE_DIR")
    making = commands.add_parser("make", help="write a case with random weights and documents")
    making.add_argument("directory", metavar="DIR")
    for name, default, meaning in (
            ("seed", 1, "where the random numbers start"),
            ("tokens", 1000, "n, the length of the input"),
            ("patch-size", 8, "P"), ("heads", 2, "H"), ("hidden-size", 16, "D"),
            ("intermediate-size", 32, "F"), ("layers", 2, "L"), ("kernel-size", 33, "K"),
            ("recurrence", 1, "R, how often each block is applied in a row"),
            ("delegation-seed", 0, "seed of --delegation monte-carlo")):
        making.add_argument(f"--{name}", type=int, default=default, help=f"{meaning} (default {default})")
    for name, choices in (
            ("delegation", ("transpose", "monte-carlo", "selective")),
            ("hidden-act", tuple(ACTIVATIONS)),
            ("positional-encoding", ("coord_conv", "none"))):
        making.add_argument(f"--{name}", choices=choices, default=choices[0], help=f"(default {choices[0]})")
    making.add_argument("--tcn", type=convolutions, metavar="KERNELxDILATION:CHANNELS,...",
                        help="dilated convolutions in place of K and F; x1 may be left out")
    making.add_argument("--mixers", type=mixers, default=DEFAULTS["mixer"], metavar="JSON|FILE",
                        help="a list of mixers as in config.json, one a layer, or one mixer of all layers")
    making.add_argument("--no-mixer-norm", type=layer_numbers, default=set(), metavar="LAYER,...",
                        help="layers, from 0, whose mixer goes without its optional norm.weight")
    making.add_argument("--bidirectional", action="store_true", help="every row sees its whole patch; convolutions are centred")
    alone = commands.add_parser("mixer", help="write a case of one mixer by itself")
    alone.add_argument("directory", metavar="DIR")
    for name, default, meaning in (("seed", 1, "where the random numbers start"), ("tokens", 100, "n"),
                                   ("hidden-size", 8, "D")):
        alone.add_argument(f"--{name}", type=int, default=default, help=f"{meaning} (default {default})")
    alone.add_argument("--mixer", type=mixers, required=True, metavar="JSON|FILE", help="its object in config.json")
    alone.add_argument("--no-norm", action="store_true", help="without its optional norm.weight")
    options = parser.parse_args()
    try:
        if options.command == "make":
            make(options)
        elif options.command == "mixer":
            make_mixer(options)
        elif not check(options.directory):
            sys.exit(1)
    except Impossible as error:
        sys.exit(f"{options.directory}: {error}")


if __name__ == "__main__":
    main()
