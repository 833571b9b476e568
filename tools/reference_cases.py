"""Random models and documents for test cases, and weight files: what tools/reference.py makes cases from.

Letters in the shapes below are those of reference_model.py.
"""

import json
import math

import numpy as np

import reference_mixers
import reference_model

VOCABULARY = 259
BOS, EOS = 256, 257


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
# Weights
# ---------------------------------------------------------------------------------------------------

def random_weights(random, config):
    """Every tensor of the checkpoint, optional ones too, as float32.

    Sizes are chosen so that the activations stay near one and the attention is far from uniform.
    """
    hidden = config["hidden_size"]

    def normal(deviation, *shape):
        return (deviation * random.standard_normal(shape)).astype(np.float32)

    def norm(name):
        return {name + ".weight": 1 + normal(0.1, hidden), name + ".bias": normal(0.1, hidden)}

    def convolution(name, outputs, inputs, kernel):
        return {
            name + ".weight": normal((inputs * kernel) ** -0.5, outputs, inputs, kernel),
            name + ".bias": normal(0.1, outputs),
        }

    def temporal_convolutions(name):
        if config["tcn"] is None:
            inner = config["intermediate_size"]
            return convolution(name + "cov3", inner, hidden, config["conv_kernel_size"]) | convolution(name + "cov4", hidden, inner, 1)
        tensors, inputs = {}, hidden
        for index, shape in enumerate(config["tcn"]):
            tensors |= convolution(f"{name}tcn.{index}", shape["channels"], inputs, shape["kernel_size"])
            inputs = shape["channels"]
        if inputs != hidden:
            tensors |= convolution(name + "cov4", hidden, inputs, 1)
        return tensors

    def monte_carlo_attention(name):
        return {
            name + "cov1_delegate.weight": normal(near_one, hidden, hidden, 1, 1),
            name + "cov1_delegate.bias": normal(0.1, hidden),
            name + "self_attn.qkv.weight": normal(2 * near_one, 3 * hidden, hidden, 1, 1),
            name + "self_attn.proj.weight": normal(near_one, hidden, hidden, 1, 1),
            name + "self_attn.proj.bias": normal(0.1, hidden),
        }

    def other_mixer(name, mixer):
        return random_mixer(random, mixer, hidden, name)

    near_one = hidden ** -0.5
    weights = {"codebook": normal(0.5, VOCABULARY, hidden)}
    if config["positional_encoding"] != "none":
        weights |= {
            "coord_conv.conv.weight": normal((8 * 3) ** -0.5, hidden, 8, 3),
            "coord_conv.scale": np.full(1, 0.5, np.float32),
        }
    for layer in range(config["num_hidden_layers"]):
        name = f"blocks.{layer}."
        mixer = reference_model.mixer_of(config, layer)
        weights |= norm(name + "pre_norm.norm") | norm(name + "norm1.norm")
        if not reference_model.is_monte_carlo(mixer):
            weights |= other_mixer(name + "mixer.", mixer) | temporal_convolutions(name)
            continue
        weights |= monte_carlo_attention(name) | temporal_convolutions(name)
        weights |= {name + "s1": normal(1, 1), name + "s2": normal(1, 1)}  # part of every checkpoint, used by nothing
        if config["delegation"]["mode"] == "selective":
            weights |= {name + "select.weight": normal(near_one, 1, hidden), name + "select.bias": normal(0.1, 1)}
    weights |= norm("norm")
    weights |= {"fc.weight": normal(near_one, VOCABULARY, hidden), "fc.bias": normal(0.1, VOCABULARY)}
    return weights


def random_mixer(random, mixer, hidden, name):
    """Matrices that keep the size of what they multiply; weights of norms near one; biases that show."""
    def normal(scale, *shape):
        return (random.standard_normal(shape) * scale).astype(np.float32)

    tensors = {}
    around = reference_mixers.AROUND.get(mixer["kind"], {})
    for end, shape in reference_mixers.tensors(mixer, hidden).items():
        if end in around:
            centre, spread = around[end]
            tensors[name + end] = (centre(shape[-1]) + normal(spread, *shape)).astype(np.float32)
        elif end == "theta":
            tensors[name + end] = normal(0.5, *shape)
        elif end == "A_log":  # memories of a few rows, and of hundreds
            tensors[name + end] = (random.uniform(-6, 1, shape)).astype(np.float32)
        elif end.endswith(("_w1", "_w2")):
            tensors[name + end] = normal(shape[-2] ** -0.5, *shape)
        elif len(shape) == 2:
            tensors[name + end] = normal(shape[1] ** -0.5, *shape)
        elif end.endswith("norm.weight"):
            tensors[name + end] = 1 + normal(0.1, *shape)
        elif end == "decay":
            tensors[name + end] = normal(1.5, *shape) - 3  # memories of one row to some hundred
        else:
            tensors[name + end] = normal(0.3, *shape)
    return tensors


def closest_scores(config, weights, tokens):
    """How near two different scores of one patch come in any pass, as a share of the spread of the pass's scores.

    Two scores that are equal to the last bit do not count. Infinity where no two differ. weights in float64.
    """
    patch, closest = config["patch_size"], math.inf
    for (layer, _), rows in zip(reference_model.passes(config), reference_model.states(config, weights, tokens)):
        if not reference_model.is_monte_carlo(reference_model.mixer_of(config, layer)):
            continue
        normed = reference_model.block_input(rows, weights, layer, config)
        scores = reference_model.selective_scores(normed, weights, f"blocks.{layer}.")
        gaps = np.diff(np.sort(scores.reshape(-1, patch), axis=1), axis=1)
        gaps = gaps[gaps > 0]
        if gaps.size:
            closest = min(closest, gaps.min() / np.ptp(scores))
    return closest


# ---------------------------------------------------------------------------------------------------
# Documents
# ---------------------------------------------------------------------------------------------------

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
