"""Sequence mixers in float64: what a layer may have in the place of Monte Carlo Attention. Part of tools/reference.py.

Letters in the shapes below: n rows, D hidden size, H heads, d features of a head, dv those of its values where they
may be others than those of its keys.

A mixer is a function (rows, weights, name, fields) -> [n, D]. `rows` [n, D] are the normalised rows of the tokens
alone, so that no mixer knows of padding; `name` is what its tensors' names begin with; `fields` is its object in
config.json as `complete` gives it. All but windows are causal. `KINDS` lists them: a new kind is one function, its fields and its
tensors.
"""

import math
from typing import Callable, NamedTuple

import numpy as np


NEEDED = object()  # the value of a field that has no default


class Impossible(ValueError):
    """A configuration that no model has, or that this reference does not know."""


def share(features, heads):
    """The default of a head's size: NEEDED where heads do not divide features."""
    return NEEDED if features % heads else features // heads


# ---------------------------------------------------------------------------------------------------
# Parts
# ---------------------------------------------------------------------------------------------------

def projection(rows, weights, name):
    """rows [..., I] times `name`.weight [O, I], plus `name`.bias where there is one -> [..., O]"""
    result = rows @ weights[name + ".weight"].T
    return result + weights[name + ".bias"] if name + ".bias" in weights else result


def heads_of(rows, weights, name, heads):
    """A projection, cut into heads. rows [n, D] -> [heads, n, d]"""
    projected = projection(rows, weights, name)
    return projected.reshape(len(rows), heads, -1).swapaxes(0, 1)


def rotated(heads, rope):
    """Rotary positions: each pair of row t's features turned by t times the pair's frequency. [H, n, d] -> [H, n, d]"""
    if rope is None:
        return heads
    _, count, width = heads.shape
    if width % 2 or width < 4 and rope["spacing"] == "inclusive":
        raise Impossible(f"rope cannot turn heads of {width}: they must be even, with inclusive spacing at least 4")
    pairs = width // 2
    # Frequencies go down from 1. The pair after the last one would have 1/theta; in inclusive spacing the last one has.
    steps = {"standard": pairs, "inclusive": pairs - 1}[rope["spacing"]]
    angles = np.arange(count)[:, None] * rope["theta"] ** (-np.arange(pairs) / steps)
    first, second = {
        "half": (slice(0, pairs), slice(pairs, None)),
        "interleaved": (slice(0, None, 2), slice(1, None, 2)),
    }[rope["layout"]]
    result = np.empty_like(heads)
    result[..., first] = heads[..., first] * np.cos(angles) - heads[..., second] * np.sin(angles)
    result[..., second] = heads[..., second] * np.cos(angles) + heads[..., first] * np.sin(angles)
    return result


def silu(values):
    """x times the logistic function of x. Any shape."""
    return values / (1.0 + np.exp(-values))


def rms_norm(heads, weights, name, eps):
    """The last axis divided by its root mean square, times `name`.weight where there is one. [..., dv] -> [..., dv]"""
    normed = heads / np.sqrt(np.mean(heads * heads, axis=-1, keepdims=True) + eps)
    return normed * weights[name + ".weight"] if name + ".weight" in weights else normed


# ---------------------------------------------------------------------------------------------------
# Sliding windows
# ---------------------------------------------------------------------------------------------------

def window_attention(query, key, value, window, dilation, causal):
    """One head: a row attends to itself and to the rows 1, 2, ..., `window` dilations before it, and as many after it
    where not causal. [n, d] -> [n, d]"""
    count, width = query.shape
    steps = [step * dilation for step in range(-window, 1 if causal else window + 1) if abs(step) * dilation < count]
    scores = np.full((count, len(steps)), -np.inf)  # where there is no such row
    rows = [slice(max(0, -step), min(count, count - step)) for step in steps]
    seen = [slice(max(0, step), min(count, count + step)) for step in steps]
    for column in range(len(steps)):
        scores[rows[column], column] = (query[rows[column]] * key[seen[column]]).sum(axis=1) / math.sqrt(width)
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    result = np.zeros_like(value)
    for column in range(len(steps)):
        result[rows[column]] += shares[rows[column], column, None] * value[seen[column]]
    return result


def sliding_window(rows, weights, name, fields):
    """Attention to the rows shortly before, or around, at a distance of each head's own. [n, D] -> [n, D]"""
    heads, sources = fields["num_heads"], fields["num_kv_heads"]
    if fields["global_tokens"]:
        raise Impossible("windows with global_tokens are not known here")
    if heads % sources:
        raise Impossible("num_kv_heads must divide num_heads")
    query = rotated(heads_of(rows, weights, name + "q_proj", heads), fields["rope"])
    key = rotated(heads_of(rows, weights, name + "k_proj", sources), fields["rope"])
    value = heads_of(rows, weights, name + "v_proj", sources)
    dilations = fields["dilation"] if isinstance(fields["dilation"], list) else [fields["dilation"]] * heads
    if len(dilations) != heads:
        raise Impossible(f"there are {len(dilations)} dilations for {heads} heads")
    attended = []
    for head in range(heads):
        source = head // (heads // sources)
        attended.append(window_attention(query[head], key[source], value[source], fields["window"], dilations[head],
                                         fields["causal"]))
    return projection(np.concatenate(attended, axis=1), weights, name + "o_proj")


def sliding_window_fields(hidden, heads):
    return {"num_heads": NEEDED, "window": NEEDED, "num_kv_heads": heads, "head_dim": share(hidden, heads),
            "dilation": 1, "causal": True, "global_tokens": [], "qkv_bias": False, "rope": None}


def sliding_window_tensors(hidden, fields):
    queries, keys = fields["num_heads"] * fields["head_dim"], fields["num_kv_heads"] * fields["head_dim"]
    tensors = {"q_proj.weight": (queries, hidden), "k_proj.weight": (keys, hidden), "v_proj.weight": (keys, hidden),
               "o_proj.weight": (hidden, queries)}
    if fields["qkv_bias"]:
        tensors |= {"q_proj.bias": (queries,), "k_proj.bias": (keys,), "v_proj.bias": (keys,), "o_proj.bias": (hidden,)}
    return tensors


# ---------------------------------------------------------------------------------------------------
# Segments with a memory
# ---------------------------------------------------------------------------------------------------

def transformer_xl(rows, weights, name, fields):
    """Attention to the own segment and the rows in memory, by what they are and by how far back. [n, D] -> [n, D]"""
    heads, segment, memory, clamp = (fields[key] for key in ("num_heads", "segment", "memory", "clamp_length"))
    count, hidden = rows.shape
    if hidden % 2 or segment < 1 or memory < fields["same_length"]:
        raise Impossible("transformer-xl needs an even hidden_size, a segment, and a memory where same_length is true")
    query, key, value = (heads_of(rows, weights, f"{name}{part}_proj", heads) for part in "qkv")
    numbers = np.arange(count)
    apart = numbers[:, None] - numbers
    begin = numbers // segment * segment - memory
    if fields["same_length"]:
        begin = np.maximum(begin, numbers - memory + 1)
    distances = np.minimum(numbers, clamp) if clamp > 0 else numbers
    angles = distances[:, None] * 10000.0 ** (-np.arange(0, hidden, 2) / hidden)
    waves = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    back = heads_of(waves, weights, name + "r_proj", heads)
    attended = []
    for head in range(heads):
        content = (query[head] + weights[name + "u_bias"][head]) @ key[head].T
        place = (query[head] + weights[name + "v_bias"][head]) @ back[head].T  # [row, distance]
        scores = content + np.take_along_axis(place, np.maximum(apart, 0), axis=1)
        scores = np.where((apart >= 0) & (numbers >= begin[:, None]), scores / math.sqrt(key.shape[2]), -np.inf)
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        attended.append(shares / shares.sum(axis=1, keepdims=True) @ value[head])
    return projection(np.concatenate(attended, axis=1), weights, name + "o_proj")


def transformer_xl_fields(hidden, heads):
    return {"num_heads": NEEDED, "head_dim": share(hidden, heads), "segment": NEEDED, "memory": NEEDED,
            "same_length": False, "clamp_length": -1}


def transformer_xl_tensors(hidden, fields):
    inner, biases = fields["num_heads"] * fields["head_dim"], (fields["num_heads"], fields["head_dim"])
    return {"q_proj.weight": (inner, hidden), "k_proj.weight": (inner, hidden), "v_proj.weight": (inner, hidden),
            "r_proj.weight": (inner, hidden), "u_bias": biases, "v_bias": biases, "o_proj.weight": (hidden, inner)}


# ---------------------------------------------------------------------------------------------------
# Recurrences
# ---------------------------------------------------------------------------------------------------

def retention(rows, weights, name, fields):
    """Each head keeps a matrix that decays and takes in every row's key and value; queries read it. [n, D] -> [n, D]"""
    heads = fields["num_heads"]
    query = rotated(heads_of(rows, weights, name + "q_proj", heads), fields["rope"]) / math.sqrt(fields["head_k_dim"])
    key = rotated(heads_of(rows, weights, name + "k_proj", heads), fields["rope"])
    value = heads_of(rows, weights, name + "v_proj", heads)
    decay = 1.0 - 2.0 ** (-5.0 - np.arange(heads))[:, None, None]
    state = np.zeros((heads, fields["head_k_dim"], fields["head_v_dim"]))
    read = np.empty((len(rows), heads, fields["head_v_dim"]))
    for row in range(len(rows)):
        state = decay * state + key[:, row, :, None] * value[:, row, None, :]
        read[row] = (query[:, row, None, :] @ state)[:, 0]
    normed = rms_norm(read, weights, name + "norm", fields["norm_eps"]).reshape(len(rows), -1)
    return projection(silu(projection(rows, weights, name + "g_proj")) * normed, weights, name + "o_proj")


def retention_fields(hidden, heads):
    return {"num_heads": NEEDED, "head_k_dim": share(hidden, heads), "head_v_dim": share(2 * hidden, heads),
            "norm_eps": 1e-5, "rope": None}


def retention_tensors(hidden, fields):
    """norm.weight may be missing."""
    keys, values = fields["num_heads"] * fields["head_k_dim"], fields["num_heads"] * fields["head_v_dim"]
    return {"q_proj.weight": (keys, hidden), "k_proj.weight": (keys, hidden), "v_proj.weight": (values, hidden),
            "g_proj.weight": (values, hidden), "norm.weight": (fields["head_v_dim"],),
            "o_proj.weight": (hidden, values)}


def decayed_sums(query, key, value, decay):
    """What queries read of a matrix a head that fades by `decay` a row. [H, n, dk], [H, n, dv], [H] -> [n, H, dv]"""
    heads, count, width = key.shape
    state = np.zeros((heads, width, value.shape[2]))
    read = np.empty((count, heads, value.shape[2]))
    for row in range(count):
        state = np.reshape(decay, (-1, 1, 1)) * state + key[:, row, :, None] * value[:, row, None, :]
        read[row] = np.einsum("hk,hkv->hv", query[:, row], state)
    return read


def linear_attention(rows, weights, name, fields):
    """Attention without soft-max: a sum of keys times values, that nothing fades. [n, D] -> [n, D]"""
    heads = fields["num_heads"]
    if fields["feature_map"] not in ("elu+1", "identity"):
        raise Impossible("feature_map is one of elu+1, identity")
    query, key, value = (heads_of(rows, weights, name + part, heads) for part in ("q_proj", "k_proj", "v_proj"))
    if fields["feature_map"] == "elu+1":
        query, key = (np.where(part > 0, part + 1, np.exp(np.minimum(part, 0))) for part in (query, key))
    query = query / math.sqrt(fields["head_k_dim"])
    read = decayed_sums(query, key, value, np.ones(heads))
    if fields["normalize"]:
        read /= np.einsum("hnk,hnk->nh", query, np.cumsum(key, axis=1))[..., None] + 1e-10
    if name + "norm.weight" in weights:
        read = rms_norm(read, weights, name + "norm", fields["norm_eps"])
    elif fields["feature_map"] == "identity" and not fields["normalize"]:
        raise Impossible("identity that is not normalized needs norm.weight")
    return projection(read.reshape(len(rows), -1), weights, name + "o_proj")


def linear_attention_fields(hidden, heads):
    return {"num_heads": NEEDED, "head_k_dim": share(hidden, heads), "head_v_dim": share(hidden, heads),
            "feature_map": "elu+1", "normalize": False, "norm_eps": 1e-5}


def linear_attention_tensors(hidden, fields):
    """norm.weight may be missing, but where features are the identity and nothing normalizes."""
    keys, values = fields["num_heads"] * fields["head_k_dim"], fields["num_heads"] * fields["head_v_dim"]
    return {"q_proj.weight": (keys, hidden), "k_proj.weight": (keys, hidden), "v_proj.weight": (values, hidden),
            "norm.weight": (fields["head_v_dim"],), "o_proj.weight": (hidden, values)}


def slopes(heads):
    """ALiBi's: of a power of two of heads 2^(-8/heads), 2^(-16/heads), ...; of others those of the next lower power,
    then every second one of the next higher power."""
    power = 2 ** int(math.log2(heads))
    whole = [2.0 ** (-8 * (head + 1) / power) for head in range(power)]
    between = [2.0 ** (-8 * (head + 1) / (2 * power)) for head in range(0, 2 * power, 2)]
    return np.array((whole + between)[:heads])


def transnormer(rows, weights, name, fields):
    """A matrix a head that fades the more slowly the later the layer; one norm over all heads; a linear gate."""
    heads, layer, layers = fields["num_heads"], fields["layer"], fields["layers"]
    if layers < 2 or not 0 <= layer < layers:
        raise Impossible("layers is at least 2, layer 0 to layers - 1")
    query, key, value = (heads_of(rows, weights, name + part, heads) for part in ("q_proj", "k_proj", "v_proj"))
    query, key = silu(query), silu(key)
    if fields["lrpe"]:
        angles = np.arange(len(rows))[:, None] * weights[name + "theta"][:, None, :]
        query, key = (np.concatenate([part * np.cos(angles), part * np.sin(angles)], axis=2) for part in (query, key))
    decay = np.exp(-slopes(heads) * (1 - layer / (layers - 1) + 1e-5))
    read = decayed_sums(query, key, value, decay).reshape(len(rows), -1)
    read = read / np.sqrt(np.mean(read * read, axis=1, keepdims=True) + fields["norm_eps"])
    return projection(projection(rows, weights, name + "g_proj") * read, weights, name + "o_proj")


def transnormer_fields(hidden, heads):
    return {"num_heads": NEEDED, "head_dim": share(hidden, heads), "layer": NEEDED, "layers": NEEDED, "lrpe": False,
            "norm_eps": 1e-6}


def transnormer_tensors(hidden, fields):
    features = fields["num_heads"] * fields["head_dim"]
    tensors = {part + ".weight": (features, hidden) for part in ("q_proj", "k_proj", "v_proj", "g_proj")}
    if fields["lrpe"]:
        tensors["theta"] = (fields["num_heads"], fields["head_dim"])
    return tensors | {"o_proj.weight": (hidden, features)}


def channel_convolution(rows, weight, bias):
    """Every channel by itself, over the last K rows, the own one with them. [n, C], [C, K], [C] -> [n, C]"""
    count, (channels, taps) = len(rows), weight.shape
    padded = np.concatenate([np.zeros((taps - 1, channels)), rows])
    return bias + sum(weight[:, tap] * padded[tap:tap + count] for tap in range(taps))


def mamba2(rows, weights, name, fields):
    """A matrix a head that every row fades as it says itself, behind a short convolution. [n, D] -> [n, D]"""
    heads, size, width, groups = (fields[part] for part in ("num_heads", "head_dim", "state", "groups"))
    channels, keys = heads * size, groups * width
    if channels != fields["expand"] * rows.shape[1]:
        raise Impossible("num_heads times head_dim must be expand times hidden_size")
    if heads % groups:
        raise Impossible("groups must divide num_heads")
    gate, inner, step = np.split(projection(rows, weights, name + "in_proj"), [channels, 2 * (channels + keys)], axis=1)
    inner = silu(channel_convolution(inner, weights[name + "conv.weight"], weights[name + "conv.bias"]))
    value, key, query = np.split(inner, [channels, channels + keys], axis=1)
    value = value.reshape(-1, heads, size)
    key, query = (np.repeat(part.reshape(-1, groups, width), heads // groups, axis=1) for part in (key, query))
    step = np.logaddexp(0, step + weights[name + "dt_bias"])
    decay = np.exp(-step * np.exp(weights[name + "A_log"]))
    state = np.zeros((heads, size, width))
    read = np.empty((len(rows), heads, size))
    for row in range(len(rows)):
        state = decay[row, :, None, None] * state
        state = state + step[row, :, None, None] * value[row, :, :, None] * key[row, :, None, :]
        read[row] = (state @ query[row, :, :, None])[..., 0] + weights[name + "D"][:, None] * value[row]
    gated = (read.reshape(len(rows), -1) * silu(gate)).reshape(len(rows), groups, -1)
    normed = gated / np.sqrt(np.mean(gated * gated, axis=2, keepdims=True) + fields["norm_eps"])
    return projection(normed.reshape(len(rows), -1) * weights[name + "norm.weight"], weights, name + "o_proj")


def mamba2_fields(hidden, heads):
    return {"num_heads": NEEDED, "head_dim": share(2 * hidden, heads), "state": NEEDED, "groups": 1, "expand": 2,
            "conv": 4, "norm_eps": 1e-5}


def mamba2_tensors(hidden, fields):
    heads, channels = fields["num_heads"], fields["num_heads"] * fields["head_dim"]
    inner = channels + 2 * fields["groups"] * fields["state"]
    return {"in_proj.weight": (channels + inner + heads, hidden), "conv.weight": (inner, fields["conv"]),
            "conv.bias": (inner,), "dt_bias": (heads,), "A_log": (heads,), "D": (heads,),
            "norm.weight": (channels,), "o_proj.weight": (hidden, channels)}


def logistic(values):
    return 1.0 / (1.0 + np.exp(-values))


def row_before(rows):
    """Every row's predecessor, zeros for the first. [n, D] -> [n, D]"""
    return np.concatenate([np.zeros_like(rows[:1]), rows[:-1]])


def group_norm(rows, weights, name, heads):
    """Each head of each row to zero mean and unit variance, then `name`.weight and .bias. [n, D] -> [n, D]"""
    split = rows.reshape(len(rows), heads, -1)
    centred = split - split.mean(axis=-1, keepdims=True)
    normed = centred / np.sqrt(np.mean(centred * centred, axis=-1, keepdims=True) + 64e-5)
    return normed.reshape(rows.shape) * weights[name + ".weight"] + weights[name + ".bias"]


def rwkv6(rows, weights, name, fields):
    """Each head keeps a matrix whose rows fade at rates of every token's own; inputs are blends of a row and the one
    before it, in shares of every token's own. [n, D] -> [n, D]"""
    heads = divisor(fields["num_heads"], rows.shape[1])

    def weight(end):
        return weights[name + end]

    step = row_before(rows) - rows
    mixed = np.tanh((rows + step * weight("mu_x")) @ weight("mix_w1"))
    blends = {}
    for part, end, through in zip(np.split(mixed, 5, axis=1), "wkvrg", weight("mix_w2")):
        blends[end] = rows + step * (weight("mu_" + end) + part @ through)
    kept = np.exp(-np.exp(weight("decay") + np.tanh(blends["w"] @ weight("decay_w1")) @ weight("decay_w2")))
    kept = kept.reshape(len(rows), heads, -1)
    query, key, value = (heads_of(blends[end], weights, name + end + "_proj", heads).swapaxes(0, 1) for end in "rkv")
    size = value.shape[2]
    state = np.zeros((heads, size, size))
    read = np.empty((len(rows), heads, size))
    for row in range(len(rows)):
        new = key[row, :, :, None] * value[row, :, None, :]
        read[row] = (query[row, :, None, :] @ (state + weight("bonus")[:, :, None] * new))[:, 0]
        state = kept[row, :, :, None] * state + new
    normed = group_norm(read.reshape(rows.shape), weights, name + "norm", heads)
    return projection(normed * silu(projection(blends["g"], weights, name + "g_proj")), weights, name + "o_proj")


def rwkv7(rows, weights, name, fields, first_values=None):
    """Each head keeps a matrix that is corrected by a delta rule: before a row's key and value come in, a part of what
    it says of the row's direction goes. [n, D] -> [n, D]

    first_values [n, D] are those of the model's first layer (`rwkv7_values`), for a layer that is none itself.
    """
    heads = divisor(fields["num_heads"], rows.shape[1])

    def weight(end):
        return weights[name + end]

    def through(end, blend, function=lambda values: values):
        return function(blend @ weight(end + "_w1")) @ weight(end + "_w2")

    def by_head(values):
        return values.reshape(len(rows), heads, -1)

    step = row_before(rows) - rows
    of_r, of_w, of_k, of_v, of_a, of_g = (rows + step * weight("mu_" + end) for end in "rwkvag")
    kept = np.exp(-math.exp(-0.5) * logistic(weight("decay") + through("decay", of_w, np.tanh)))
    rate = logistic(weight("rate") + through("rate", of_a))
    gate = through("gate", of_g, logistic)
    query, key, value = (projection(blend, weights, name + end + "_proj")
                         for blend, end in ((of_r, "r"), (of_k, "k"), (of_v, "v")))
    if not fields["first"]:
        if first_values is None:
            raise Impossible("first is false, and there are no values of a first layer")
        value = value + (first_values - value) * logistic(weight("value") + through("value", of_v))
    direction = by_head(key * weight("k_k"))
    direction = direction / np.maximum(np.linalg.norm(direction, axis=-1, keepdims=True), 1e-12)
    key = key * (1.0 + (rate - 1.0) * weight("k_a"))
    query, key, value, kept, rate = map(by_head, (query, key, value, kept, rate))
    state = np.zeros((heads, value.shape[2], value.shape[2]))  # value by key
    read = np.empty(value.shape)
    for row in range(len(rows)):
        said = state @ direction[row, :, :, None]
        state = state * kept[row, :, None, :] - said * (direction[row] * rate[row])[:, None, :]
        state = state + value[row, :, :, None] * key[row, :, None, :]
        read[row] = (state @ query[row, :, :, None])[:, :, 0]
    normed = group_norm(read.reshape(rows.shape), weights, name + "norm", heads)
    bonus = (query * key * weight("r_k")).sum(axis=-1, keepdims=True) * value
    return projection((normed + bonus.reshape(rows.shape)) * gate, weights, name + "o_proj")


def rwkv7_values(rows, weights, name):
    """The values of a first layer, of its normalised rows. [n, D] -> [n, D]"""
    blend = rows + (row_before(rows) - rows) * weights[name + "mu_v"]
    return projection(blend, weights, name + "v_proj")


def suggested_rank(hidden, factor):
    return max(32, round(factor * math.sqrt(hidden) / 32) * 32)


def rwkv7_fields(hidden, heads):
    return {"num_heads": NEEDED, "first": NEEDED, "decay_rank": suggested_rank(hidden, 2.5),
            "rate_rank": suggested_rank(hidden, 2.5), "value_rank": suggested_rank(hidden, 1.7),
            "gate_rank": suggested_rank(hidden, 5)}


def rwkv7_tensors(hidden, fields):
    """Matrices called w1 and w2 are [inputs, outputs]."""
    heads = fields["num_heads"]
    maps = ["decay", "rate", "gate"] + ([] if fields["first"] else ["value"])
    vectors = ["mu_" + end for end in "rwkvag"] + ["k_k", "k_a", "norm.weight", "norm.bias"]
    tensors = {end: (hidden,) for end in vectors + [end for end in maps if end != "gate"]}
    for end in maps:
        rank = fields[end + "_rank"]
        tensors |= {end + "_w1": (hidden, rank), end + "_w2": (rank, hidden)}
    return tensors | {"r_k": (heads, hidden // heads)} | {end + "_proj.weight": (hidden, hidden) for end in "rkvo"}


def divisor(heads, hidden):
    if hidden % heads:
        raise Impossible("num_heads must divide hidden_size")
    return heads


def rwkv6_fields(hidden, heads):
    return {"num_heads": NEEDED, "mix_rank": 32, "decay_rank": 64}


def rwkv6_tensors(hidden, fields):
    """Matrices called w1 and w2 are [inputs, outputs]."""
    mix, decay = fields["mix_rank"], fields["decay_rank"]
    vectors = ["mu_x", "mu_w", "mu_k", "mu_v", "mu_r", "mu_g", "decay", "norm.weight", "norm.bias"]
    return {end: (hidden,) for end in vectors} | {
        "mix_w1": (hidden, 5 * mix), "mix_w2": (5, mix, hidden), "decay_w1": (hidden, decay),
        "decay_w2": (decay, hidden), "bonus": (fields["num_heads"], hidden // fields["num_heads"]),
    } | {end + "_proj.weight": (hidden, hidden) for end in "rkvgo"}


def mamba(rows, weights, name, fields):
    """States of every channel that fade by steps which the rows say. [n, D] -> [n, D]"""
    states, rank = fields["state"], fields["dt_rank"]
    channels, gate = np.split(projection(rows, weights, name + "in_proj"), 2, axis=1)
    channels = silu(channel_convolution(channels, weights[name + "conv.weight"], weights[name + "conv.bias"]))
    selected = projection(channels, weights, name + "x_proj")
    low, entering, leaving = selected[:, :rank], selected[:, rank:rank + states], selected[:, rank + states:]
    step = np.logaddexp(0, projection(low, weights, name + "dt_proj"))
    rate = np.exp(weights[name + "A_log"])
    state, read = np.zeros(rate.shape), np.empty(channels.shape)
    for row in range(len(rows)):
        now = step[row][:, None]
        state = np.exp(-now * rate) * state + now * channels[row][:, None] * entering[row]
        read[row] = state @ leaving[row]
    return projection((read + weights[name + "D"] * channels) * silu(gate), weights, name + "o_proj")


def mamba_fields(hidden, heads):
    return {"state": NEEDED, "expand": 2, "conv": 4, "dt_rank": -(-hidden // 16)}


def mamba_tensors(hidden, fields):
    inner, states, rank = fields["expand"] * hidden, fields["state"], fields["dt_rank"]
    return {"in_proj.weight": (2 * inner, hidden), "conv.weight": (inner, fields["conv"]), "conv.bias": (inner,),
            "x_proj.weight": (rank + 2 * states, inner), "dt_proj.weight": (inner, rank), "dt_proj.bias": (inner,),
            "A_log": (inner, states), "D": (inner,), "o_proj.weight": (hidden, inner)}


def gelu(values):
    """x times the normal distribution function of x. Any shape."""
    return values / 2 * np.vectorize(math.erfc, otypes=[float])(-values / math.sqrt(2))


def s4d(rows, weights, name, fields):
    """Complex states of every feature that fade and turn at rates of their own. [n, D] -> [n, D]"""
    count, hidden = rows.shape
    if fields["state"] < 2 or fields["state"] % 2:
        raise Impossible("state counts both parts of complex numbers")
    rate = -np.exp(weights[name + "log_A_real"]) + 1j * weights[name + "A_imag"]
    stays = np.exp(np.exp(weights[name + "log_dt"])[:, None] * rate)
    output = (weights[name + "C"] @ np.array([1, 1j])) * (stays - 1) / rate
    state, read = np.zeros(rate.shape, complex), np.empty(rows.shape)
    for row in range(count):
        state = stays * state + rows[row][:, None]
        read[row] = 2 * (output * state).sum(axis=1).real
    values, gates = np.split(projection(gelu(read + weights[name + "D"] * rows), weights, name + "o_proj"), 2, axis=1)
    return values * logistic(gates)


def s4d_fields(hidden, heads):
    return {"state": NEEDED}


def s4d_tensors(hidden, fields):
    modes = fields["state"] // 2
    return {"log_dt": (hidden,), "log_A_real": (hidden, modes), "A_imag": (hidden, modes), "C": (hidden, modes, 2),
            "D": (hidden,), "o_proj.weight": (2 * hidden, hidden), "o_proj.bias": (2 * hidden,)}


# ---------------------------------------------------------------------------------------------------
# All kinds
# ---------------------------------------------------------------------------------------------------

# What values of some tensors lie around, and how far from it, by the kind and the end of the name; of the last axis
# where it has as many. So that states last for few rows and for many.
AROUND = {
    "mamba": {
        "dt_proj.bias": (lambda last: -4.0, 1.0),
        "A_log": (lambda last: np.log(np.arange(1, last + 1)), 0.3),
        "D": (lambda last: 1.0, 0.3),
    },
    "s4d": {
        "log_dt": (lambda last: -4.5, 1.5),
        "log_A_real": (lambda last: math.log(0.5), 0.3),
        "A_imag": (lambda last: math.pi * np.arange(last), 0.3),
        "C": (lambda last: 0.0, 0.7),
        "D": (lambda last: 1.0, 0.3),
    },
}

ROPE = {"theta": 10000, "layout": "half", "spacing": "standard"}
ROPE_CHOICES = {"layout": ("half", "interleaved"), "spacing": ("standard", "inclusive")}


class Kind(NamedTuple):
    mix: Callable  # (rows, weights, name, fields) -> [n, D]
    fields: Callable  # (D, H) -> every field, with the value that it has where config.json leaves it out
    tensors: Callable  # (D, fields) -> the shape of every tensor, by the end of its name


KINDS = {
    "sliding-window": Kind(sliding_window, sliding_window_fields, sliding_window_tensors),
    "retention": Kind(retention, retention_fields, retention_tensors),
    "linear-attention": Kind(linear_attention, linear_attention_fields, linear_attention_tensors),
    "transnormer": Kind(transnormer, transnormer_fields, transnormer_tensors),
    "mamba2": Kind(mamba2, mamba2_fields, mamba2_tensors),
    "rwkv6": Kind(rwkv6, rwkv6_fields, rwkv6_tensors),
    "rwkv7": Kind(rwkv7, rwkv7_fields, rwkv7_tensors),
    "transformer-xl": Kind(transformer_xl, transformer_xl_fields, transformer_xl_tensors),
    "mamba": Kind(mamba, mamba_fields, mamba_tensors),
    "s4d": Kind(s4d, s4d_fields, s4d_tensors),
}


def complete(mixer, hidden):
    """A mixer's object of config.json with every field of its kind. Impossible where it is not one."""
    kind, heads = mixer.get("kind"), mixer.get("num_heads", 1)
    if kind not in KINDS:
        raise Impossible(f"kind {kind!r} is unknown")
    if heads < 1:
        raise Impossible("num_heads must be at least 1")
    fields = KINDS[kind].fields(hidden, heads)
    if unknown := mixer.keys() - fields.keys() - {"kind"}:
        raise Impossible(f"{kind} has no {', '.join(sorted(unknown))}")
    fields |= mixer
    if missing := [name for name, value in fields.items() if value is NEEDED]:
        raise Impossible(f"{kind} needs {', '.join(missing)}")
    if fields.get("rope") is not None:
        fields["rope"] = ROPE | fields["rope"]
        if unknown := fields["rope"].keys() - ROPE.keys():
            raise Impossible(f"rope has no {', '.join(sorted(unknown))}")
        for name, choices in ROPE_CHOICES.items():
            if fields["rope"][name] not in choices:
                raise Impossible(f"rope's {name} is one of {', '.join(choices)}")
    return fields


def tensors(mixer, hidden):
    """The shape of every tensor of a mixer, an object of config.json, by the end of its name."""
    fields = complete(mixer, hidden)
    return KINDS[fields["kind"]].tensors(hidden, fields)


def mix(rows, weights, name, mixer, first_values=None):
    """What a mixer, an object of config.json, makes of the normalised rows of all tokens. [n, D] -> [n, D]

    first_values [n, D] are for a layer of rwkv7 that is no first one.
    """
    fields = complete(mixer, rows.shape[1])
    more = {} if first_values is None else {"first_values": first_values}
    return KINDS[fields["kind"]].mix(rows, weights, name, fields, **more)
