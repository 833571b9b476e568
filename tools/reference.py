#!/usr/bin/env python3
"""Float64 reference of the BigBang-Proton model, and the maker of test cases.

    tools/reference.py check CASE_DIR
    tools/reference.py make DIR --seed S --tokens n --patch-size P --heads H --hidden-size D
                                --intermediate-size F --layers L --kernel-size K

A case directory holds

    config.json         the model's shape, in the fields that the engine reads
    model.safetensors   its weights, float32
    tokens.u16          the input, little-endian 16-bit token numbers
    layer1.npy          what the first block gives, [n, D] float32
    hidden.npy          what the last block gives, before the head's norm, [n, D] float32
    nll_bits.npy        the cost of each token in bits, [n] float32, NaN for the first

`check` computes the three outputs again and compares; it exits 1 where they differ by more than 1e-5.
`make` writes such a directory with random weights and random documents. All arithmetic is float64: the
outputs are exact to float32 rounding, whatever order an engine adds things up in.

Letters, here and in the shapes below: n tokens, P patch size, G = ceil(n/P) patches, N = G*P rows with
the padding, D hidden size, H heads, F intermediate size, K convolution kernel, L layers.
Only NumPy is needed.
"""

import argparse
import json
import math
import os
import sys

import numpy as np

VOCABULARY = 259
BOS, EOS = 256, 257
TOLERANCE = 1e-5
SCORES_AT_ONCE = 1 << 22  # attention scores held in memory together: 32 MiB in float64


# ---------------------------------------------------------------------------------------------------
# The model
# ---------------------------------------------------------------------------------------------------

def linear(rows, weight, bias=None):
    """rows [..., I] times weight [O, I(, 1, 1)] -> [..., O]; the 1x1 convolutions of the checkpoint are this."""
    result = rows @ weight.reshape(weight.shape[0], -1).T
    return result if bias is None else result + bias


def layer_norm(rows, weight, bias, eps):
    """Zero mean and unit variance along the last axis, then scale and shift. [..., D] -> [..., D]"""
    centred = rows - rows.mean(axis=-1, keepdims=True)
    variance = np.mean(centred * centred, axis=-1, keepdims=True)
    return centred / np.sqrt(variance + eps) * weight + bias


def gelu(values):
    """The exact (erf) GELU of an array of any shape."""
    scaled = (values / math.sqrt(2.0)).ravel().tolist()
    erf = np.fromiter(map(math.erf, scaled), dtype=np.float64, count=len(scaled))
    return 0.5 * values * (1.0 + erf.reshape(values.shape))


def sinusoids(count, hidden):
    """Sine and cosine of every position, interleaved. -> [count, D]"""
    wavelengths = 50000.0 ** (-np.arange(0, hidden, 2) / hidden)
    angles = np.arange(count, dtype=np.float64)[:, None] * wavelengths
    table = np.empty((count, hidden))
    table[:, 0::2] = np.sin(angles)
    table[:, 1::2] = np.cos(angles)
    return table


def position_term(count, conv_weight, scale):
    """The position table, mixed over three neighbours within groups of eight channels. -> [count, D]

    conv_weight [D, 8, 3]; outside 0..count-1 the table counts as zero.
    """
    hidden = conv_weight.shape[0]
    groups = hidden // 8
    table = np.zeros((groups, count + 2, 8))
    table[:, 1:-1] = sinusoids(count, hidden).reshape(count, groups, 8).transpose(1, 0, 2)
    taps = conv_weight.reshape(groups, 8, 8, 3)  # group, channel out, channel in, tap
    mixed = sum(table[:, tap:tap + count] @ taps[..., tap].transpose(0, 2, 1) for tap in range(3))
    return scale * mixed.transpose(1, 0, 2).reshape(count, hidden)


def embed(tokens, weights, patch):
    """Codebook rows, zero rows up to a whole number of patches, and the position term on all of them. [n] -> [N, D]"""
    codebook = weights["codebook"]
    padded = -(-len(tokens) // patch) * patch
    rows = np.zeros((padded, codebook.shape[1]))
    rows[:len(tokens)] = codebook[tokens]
    return rows + position_term(padded, weights["coord_conv.conv.weight"], weights["coord_conv.scale"])


def token_of_slot(patches, patch):
    """The token whose delegate stands in each slot. -> [N] int64

    Written down in token order, the tokens are a matrix of G patches by P places; slots read that matrix column by column.
    """
    return np.arange(patches * patch).reshape(patches, patch).T.ravel()


def patch_attention(context, origin, qkv_weight, heads):
    """Attention inside each patch, a row seeing the rows that come from its own or an earlier token.

    context [B, R, D], origin [B, R], qkv_weight [3D, D, 1, 1] -> [B, R, D], before the output projection.
    """
    batch, rows, hidden = context.shape
    width = hidden // heads
    split = linear(context, qkv_weight).reshape(batch, rows, 3, heads, width)
    query, key, value = split.transpose(2, 0, 3, 1, 4)  # each [B, H, R, D/H]
    scores = query @ key.swapaxes(-1, -2) * width ** -0.5
    visible = origin[:, :, None] >= origin[:, None, :]
    scores[~np.broadcast_to(visible[:, None], scores.shape)] = -np.inf
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return (scores @ value).transpose(0, 2, 1, 3).reshape(batch, rows, hidden)


def monte_carlo_attention(rows, weights, name, patch, heads):
    """Every token attends in its own patch and, as a delegate, in the patch of its slot; the mean of both. [N, D] -> [N, D]"""
    padded, hidden = rows.shape
    patches = padded // patch
    token_at = token_of_slot(patches, patch)
    delegates = linear(rows, weights[name + "cov1_delegate.weight"], weights[name + "cov1_delegate.bias"])

    local = np.arange(padded).reshape(patches, patch)
    guest = token_at.reshape(patches, patch)
    own_result = np.empty((patches, patch, hidden))
    guest_result = np.empty((patches, patch, hidden))
    step = max(1, SCORES_AT_ONCE // (heads * 4 * patch * patch))
    for first in range(0, patches, step):
        part = slice(first, first + step)
        context = np.concatenate([rows[local[part]], delegates[guest[part]]], axis=1)
        origin = np.concatenate([local[part], guest[part]], axis=1)
        attended = patch_attention(context, origin, weights[name + "self_attn.qkv.weight"], heads)
        attended = linear(attended, weights[name + "self_attn.proj.weight"], weights[name + "self_attn.proj.bias"])
        own_result[part], guest_result[part] = attended[:, :patch], attended[:, patch:]

    returned = np.empty((padded, hidden))
    returned[token_at] = guest_result.reshape(padded, hidden)
    return (own_result.reshape(padded, hidden) + returned) / 2


def causal_convolution(rows, weight, bias):
    """Row t of the result sees rows t-(K-1) .. t; rows before 0 are zero. [N, D], weight [F, D, K] -> [N, F]"""
    count, hidden = rows.shape
    kernel = weight.shape[2]
    padded = np.concatenate([np.zeros((kernel - 1, hidden)), rows])
    result = np.tile(bias, (count, 1))
    for tap in range(kernel):
        result += padded[tap:tap + count] @ weight[:, :, tap].T
    return result


def block(rows, weights, index, patch, heads, eps):
    """One block. [N, D] -> [N, D]"""
    name = f"blocks.{index}."
    normed = layer_norm(rows, weights[name + "pre_norm.norm.weight"], weights[name + "pre_norm.norm.bias"], eps)
    mixed = rows + monte_carlo_attention(normed, weights, name, patch, heads)
    stream = layer_norm(mixed, weights[name + "norm1.norm.weight"], weights[name + "norm1.norm.bias"], eps)
    inner = gelu(causal_convolution(stream, weights[name + "cov3.weight"], weights[name + "cov3.bias"]))
    return stream + linear(inner, weights[name + "cov4.weight"], weights[name + "cov4.bias"])


def cost_in_bits(hidden, tokens, weights, eps):
    """-log2 of the probability that the rows before it gave each token; NaN for token 0. [n, D], [n] -> [n]"""
    costs = np.full(len(tokens), np.nan)
    normed = layer_norm(hidden[:-1], weights["norm.weight"], weights["norm.bias"], eps)
    logits = linear(normed, weights["fc.weight"], weights["fc.bias"])
    logits -= logits.max(axis=1, keepdims=True)
    chosen = logits[np.arange(len(logits)), tokens[1:]]
    costs[1:] = (np.log(np.exp(logits).sum(axis=1)) - chosen) / math.log(2.0)
    return costs


def run(config, weights, tokens):
    """The whole model. tokens [n] -> layer1 [n, D], hidden [n, D], nll_bits [n], all float64"""
    patch, heads, eps = config["patch_size"], config["num_attention_heads"], config["layer_norm_eps"]
    count = len(tokens)
    rows = embed(tokens, weights, patch)
    for index in range(config["num_hidden_layers"]):
        rows = block(rows, weights, index, patch, heads, eps)
        if index == 0:
            layer1 = rows[:count].copy()
    hidden = rows[:count]
    return {"layer1": layer1, "hidden": hidden, "nll_bits": cost_in_bits(hidden, tokens, weights, eps)}


# ---------------------------------------------------------------------------------------------------
# Files
# ---------------------------------------------------------------------------------------------------

def read_safetensors(path):
    """The tensors of a file of float32 tensors, widened to float64, by name."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        body = file.read()
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] != "F32":
            raise SystemExit(f"{path}: {name} is {entry['dtype']}; this reference reads F32 only")
        begin, end = entry["data_offsets"]
        tensors[name] = np.frombuffer(body[begin:end], "<f4").reshape(entry["shape"]).astype(np.float64)
    return tensors


def write_safetensors(path, tensors):
    """Header length, JSON header padded with spaces to a multiple of eight, then the tensors one after another."""
    header, offset = {}, 0
    for name in sorted(tensors):
        size = tensors[name].size * 4
        header[name] = {"dtype": "F32", "shape": list(tensors[name].shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in sorted(tensors):
            file.write(tensors[name].astype("<f4").tobytes())


# ---------------------------------------------------------------------------------------------------
# Random models and documents
# ---------------------------------------------------------------------------------------------------

def random_weights(random, config):
    """Every tensor of the checkpoint, as float32.

    Sizes are chosen so that the activations stay near one and the attention is far from uniform.
    """
    hidden, inner, kernel = config["hidden_size"], config["intermediate_size"], config["conv_kernel_size"]

    def normal(deviation, *shape):
        return (deviation * random.standard_normal(shape)).astype(np.float32)

    def norm(name):
        return {name + ".weight": 1 + normal(0.1, hidden), name + ".bias": normal(0.1, hidden)}

    near_one = hidden ** -0.5
    weights = {
        "codebook": normal(0.5, VOCABULARY, hidden),
        "coord_conv.conv.weight": normal((8 * 3) ** -0.5, hidden, 8, 3),
        "coord_conv.scale": np.full(1, 0.5, np.float32),
    }
    for index in range(config["num_hidden_layers"]):
        name = f"blocks.{index}."
        weights |= norm(name + "pre_norm.norm") | norm(name + "norm1.norm")
        weights |= {
            name + "cov1_delegate.weight": normal(near_one, hidden, hidden, 1, 1),
            name + "cov1_delegate.bias": normal(0.1, hidden),
            name + "self_attn.qkv.weight": normal(2 * near_one, 3 * hidden, hidden, 1, 1),
            name + "self_attn.proj.weight": normal(near_one, hidden, hidden, 1, 1),
            name + "self_attn.proj.bias": normal(0.1, hidden),
            name + "cov3.weight": normal((hidden * kernel) ** -0.5, inner, hidden, kernel),
            name + "cov3.bias": normal(0.1, inner),
            name + "cov4.weight": normal(inner ** -0.5, hidden, inner, 1),
            name + "cov4.bias": normal(0.1, hidden),
            name + "s1": normal(1, 1),  # part of every checkpoint, used by nothing
            name + "s2": normal(1, 1),
        }
    weights |= norm("norm")
    weights |= {"fc.weight": normal(near_one, VOCABULARY, hidden), "fc.bias": normal(0.1, VOCABULARY)}
    return weights


def random_document(random, length):
    """Bytes of one of three kinds: words of few letters, noise, or a short motif that repeats. -> [length] int"""
    kind = random.integers(3)
    if kind == 0:
        letters = np.frombuffer(b"     eeettaaoinshrdlu,.\n", np.uint8)
        return random.choice(letters, length).astype(int)
    if kind == 1:
        return random.integers(0, 256, length)
    motif = random.integers(0, 256, random.integers(1, 13))
    return np.resize(motif, length)


def random_tokens(random, count):
    """Documents of very different lengths, each BOS, bytes, EOS, cut off after `count` tokens. -> [count] int"""
    tokens = []
    while len(tokens) < count:
        length = int(2 ** random.uniform(0, math.log2(count + 1)))
        tokens += [BOS, *random_document(random, length).tolist(), EOS]
    return np.array(tokens[:count])


# ---------------------------------------------------------------------------------------------------
# Commands
# ---------------------------------------------------------------------------------------------------

def check(case):
    """Compare a case's outputs with this reference; True when all agree."""
    def at(name):
        return os.path.join(case, name)

    with open(at("config.json")) as file:
        config = json.load(file)
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


def make(options):
    """Write a case directory."""
    if options.hidden_size % 8 or options.hidden_size % options.heads:
        raise SystemExit("--hidden-size must be a multiple of 8 and of --heads")
    for name in ("tokens", "patch_size", "heads", "hidden_size", "intermediate_size", "layers", "kernel_size"):
        if getattr(options, name) < 1:
            raise SystemExit(f"--{name.replace('_', '-')} must be at least 1")
    config = {
        "model_type": "bigbang-proton",
        "vocab_size": VOCABULARY,
        "hidden_size": options.hidden_size,
        "intermediate_size": options.intermediate_size,
        "num_hidden_layers": options.layers,
        "num_attention_heads": options.heads,
        "patch_size": options.patch_size,
        "conv_kernel_size": options.kernel_size,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
        "torch_dtype": "float32",
    }
    random = np.random.default_rng(options.seed)
    weights = random_weights(random, config)
    tokens = random_tokens(random, options.tokens)
    outputs = run(config, {name: tensor.astype(np.float64) for name, tensor in weights.items()}, tokens)

    os.makedirs(options.directory, exist_ok=True)

    def at(name):
        return os.path.join(options.directory, name)

    with open(at("config.json"), "w") as file:
        file.write(json.dumps(config, indent=2) + "\n")
    write_safetensors(at("model.safetensors"), weights)
    tokens.astype("<u2").tofile(at("tokens.u16"))
    for name, output in outputs.items():
        np.save(at(name + ".npy"), output.astype("<f4"))
    print(f"{options.directory}: n={options.tokens}, "
          f"{sum(os.path.getsize(at(name)) for name in os.listdir(options.directory)):,} bytes")


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
            ("intermediate-size", 32, "F"), ("layers", 2, "L"), ("kernel-size", 33, "K")):
        making.add_argument(f"--{name}", type=int, default=default, help=f"{meaning} (default {default})")
    options = parser.parse_args()
    if options.command == "make":
        make(options)
    elif not check(options.directory):
        sys.exit(1)


if __name__ == "__main__":
    main()
