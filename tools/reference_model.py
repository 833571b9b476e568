"""The BigBang-Proton model and its wider family in float64: the mathematics of tools/reference.py, and nothing else.

Letters in the shapes below: n tokens, P patch size, G = ceil(n/P) patches, N = G*P rows with the padding, D hidden size,
H heads, F intermediate size, K convolution kernel, L layers, R recurrence. A model has L*R passes: every block is applied
R times in a row with the same weights. Layers and repeats count from 0.

`config` is always a complete configuration: what config.json says over `DEFAULTS`, which are the published model.
"""

import math

import numpy as np

import reference_mixers

DEFAULTS = {
    "recurrence": 1,
    "delegation": {"mode": "transpose"},  # or "monte-carlo" with a "seed" (default 0), or "selective"
    "tcn": None,  # or [{"kernel_size", "dilation" (default 1), "channels"}...]
    "hidden_act": "gelu",  # or "relu"
    "positional_encoding": "coord_conv",  # or "none"
    "causal": True,
    "mixer": {"kind": "monte-carlo"},  # of every layer; the other kinds are in reference_mixers.py
    "mixers": None,  # or one for each layer
}
SCORES_AT_ONCE = 1 << 22  # attention scores held in memory together: 32 MiB in float64


# ---------------------------------------------------------------------------------------------------
# Parts
# ---------------------------------------------------------------------------------------------------

def linear(rows, weight, bias=None):
    """rows [..., I] times weight [O, I(, 1, 1)] -> [..., O]; the 1x1 convolutions of the checkpoint are this."""
    result = rows @ weight.reshape(weight.shape[0], -1).T
    return result if bias is None else result + bias


def layer_norm(rows, weights, name, eps):
    """Zero mean and unit variance along the last axis, then the scale and shift called `name`. [..., D] -> [..., D]"""
    centred = rows - rows.mean(axis=-1, keepdims=True)
    variance = np.mean(centred * centred, axis=-1, keepdims=True)
    return centred / np.sqrt(variance + eps) * weights[name + ".weight"] + weights[name + ".bias"]


def gelu(values):
    """The exact (erf) GELU of an array of any shape."""
    scaled = (values / math.sqrt(2.0)).ravel().tolist()
    erf = np.fromiter(map(math.erf, scaled), dtype=np.float64, count=len(scaled))
    return 0.5 * values * (1.0 + erf.reshape(values.shape))


def relu(values):
    """What is below zero becomes zero. Any shape."""
    return np.maximum(values, 0.0)


ACTIVATIONS = {"gelu": gelu, "relu": relu}


# ---------------------------------------------------------------------------------------------------
# Input
# ---------------------------------------------------------------------------------------------------

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


def embed(tokens, weights, config):
    """Codebook rows, then zero rows up to a whole number of patches; the position term, if any, on all. [n] -> [N, D]"""
    codebook, patch = weights["codebook"], config["patch_size"]
    padded = -(-len(tokens) // patch) * patch
    rows = np.zeros((padded, codebook.shape[1]))
    rows[:len(tokens)] = codebook[tokens]
    if config["positional_encoding"] == "none":
        return rows
    return rows + position_term(padded, weights["coord_conv.conv.weight"], weights["coord_conv.scale"])


# ---------------------------------------------------------------------------------------------------
# Who goes where
# ---------------------------------------------------------------------------------------------------

def random_order(seed, layer, repeat, patch_index, patch):
    """The monte-carlo order of one patch. -> [P] int64: column c holds token order[c], so rho(order[c]) = c

    The words are those of Philox4x64 with ten rounds, key (seed, 0). NumPy raises the counter's lowest word before each
    block of four words: words 0 to 3 are the block of counter (1, g, repeat, layer), lowest word first, words 4 to 7 that
    of (2, g, repeat, layer), and so on, g being `patch_index`. The ten low bits of word j (fourteen where P > 1024)
    are replaced by j itself, and the tokens are sorted by the resulting 64-bit keys, the lowest first.
    """
    key = np.array([seed, 0], dtype=np.uint64)
    counter = np.array([0, patch_index, repeat, layer], dtype=np.uint64)
    words = np.random.Philox(key=key, counter=counter).random_raw(patch)
    keys = (words & ~np.uint64(1023 if patch <= 1024 else 16383)) | np.arange(patch, dtype=np.uint64)
    return np.argsort(keys)


def selective_scores(normed, weights, name):
    """The learned score of every token. normed [N, D] -> [N]

    Not a matrix product: that may add up equal rows in different orders, and equal rows must have equal scores.
    """
    return (normed * weights[name + "select.weight"].ravel()).sum(axis=-1) + weights[name + "select.bias"]


def delegate_order(normed, weights, name, config, layer, repeat):
    """Which token of its patch stands in each column of the delegate transpose. normed [N, D] -> [G, P] indices 0..P-1"""
    patch, delegation = config["patch_size"], config["delegation"]
    patches = len(normed) // patch
    if delegation["mode"] == "transpose":
        return np.tile(np.arange(patch), (patches, 1))
    if delegation["mode"] == "monte-carlo":
        seed = delegation.get("seed", 0)
        return np.array([random_order(seed, layer, repeat, patch_index, patch) for patch_index in range(patches)])
    if delegation["mode"] == "selective":
        scores = selective_scores(normed, weights, name).reshape(patches, patch)
        return np.argsort(-scores, axis=1, kind="stable")  # the highest first, ties by index
    raise ValueError(f"delegation mode {delegation['mode']!r} is unknown")


def token_of_slot(order):
    """The token whose delegate stands in each slot. order [G, P] -> [N] int64

    Token (g, order[g, c]) goes to slot c*G + g: the tokens are a matrix of G patches by P columns, and slots read that
    matrix column by column.
    """
    patches, patch = order.shape
    tokens = np.arange(patches)[:, None] * patch + order
    return tokens.T.ravel()


# ---------------------------------------------------------------------------------------------------
# Attention
# ---------------------------------------------------------------------------------------------------

def patch_attention(context, origin, qkv_weight, heads, causal):
    """Attention inside each patch, a row seeing the rows that come from its own or an earlier token, or all rows.

    context [B, R, D], origin [B, R], qkv_weight [3D, D, 1, 1] -> [B, R, D], before the output projection.
    """
    batch, rows, hidden = context.shape
    width = hidden // heads
    split = linear(context, qkv_weight).reshape(batch, rows, 3, heads, width)
    query, key, value = split.transpose(2, 0, 3, 1, 4)  # each [B, H, R, D/H]
    scores = query @ key.swapaxes(-1, -2) * width ** -0.5
    if causal:
        visible = origin[:, :, None] >= origin[:, None, :]
        scores[~np.broadcast_to(visible[:, None], scores.shape)] = -np.inf
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return (scores @ value).transpose(0, 2, 1, 3).reshape(batch, rows, hidden)


def monte_carlo_attention(rows, order, weights, name, config):
    """Every token attends in its own patch and, as a delegate, in the patch of its slot; the mean of both.

    rows [N, D], order [G, P] -> [N, D]
    """
    patch, heads = config["patch_size"], config["num_attention_heads"]
    padded, hidden = rows.shape
    patches = padded // patch
    token_at = token_of_slot(order)
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
        attended = patch_attention(context, origin, weights[name + "self_attn.qkv.weight"], heads, config["causal"])
        attended = linear(attended, weights[name + "self_attn.proj.weight"], weights[name + "self_attn.proj.bias"])
        own_result[part], guest_result[part] = attended[:, :patch], attended[:, patch:]

    returned = np.empty((padded, hidden))
    returned[token_at] = guest_result.reshape(padded, hidden)
    return (own_result.reshape(padded, hidden) + returned) / 2


# ---------------------------------------------------------------------------------------------------
# Convolutions over time
# ---------------------------------------------------------------------------------------------------

def convolution(rows, weight, bias, dilation, causal):
    """One convolution over time. rows [N, I], weight [O, I, K], bias [O] -> [N, O]

    It reaches over (K-1)*dilation rows beside a row: all of them before it or, where not causal, half of them (rounded
    down) before it and the others after it. Rows outside 0..N-1 are zero.
    """
    count, inputs = rows.shape
    kernel = weight.shape[2]
    reach = (kernel - 1) * dilation
    before = reach if causal else reach // 2
    padded = np.concatenate([np.zeros((before, inputs)), rows, np.zeros((reach - before, inputs))])
    result = np.tile(bias, (count, 1))
    for tap in range(kernel):
        first = tap * dilation
        result += padded[first:first + count] @ weight[:, :, tap].T
    return result


def temporal_convolutions(stream, weights, name, config):
    """Step 9 without the sum: the published convolution, or the stack of `tcn`. [N, D] -> [N, D]

    In a stack the activation follows every convolution, and each takes the rows outside 0..N-1 of its own input for zero.
    """
    activation, causal = ACTIVATIONS[config["hidden_act"]], config["causal"]
    if config["tcn"] is None:
        inner = activation(convolution(stream, weights[name + "cov3.weight"], weights[name + "cov3.bias"], 1, causal))
        return linear(inner, weights[name + "cov4.weight"], weights[name + "cov4.bias"])
    inner = stream
    for index, shape in enumerate(config["tcn"]):
        weight, bias = weights[f"{name}tcn.{index}.weight"], weights[f"{name}tcn.{index}.bias"]
        inner = activation(convolution(inner, weight, bias, shape.get("dilation", 1), causal))
    if inner.shape[1] == stream.shape[1]:
        return inner
    return linear(inner, weights[name + "cov4.weight"], weights[name + "cov4.bias"])


# ---------------------------------------------------------------------------------------------------
# The whole
# ---------------------------------------------------------------------------------------------------

def block_input(rows, weights, layer, config):
    """What a block's mixer works on: the normalised state. [N, D] -> [N, D]"""
    return layer_norm(rows, weights, f"blocks.{layer}.pre_norm.norm", config["layer_norm_eps"])


def mixer_of(config, layer):
    """The mixer of a layer, an object of config.json. Impossible where there is none or the model cannot have it."""
    mixers = config["mixers"]
    if mixers is None:
        mixers = [config["mixer"]] * config["num_hidden_layers"]
    elif config["mixer"] != DEFAULTS["mixer"]:
        raise reference_mixers.Impossible("there are both mixer and mixers")
    if len(mixers) != config["num_hidden_layers"]:
        raise reference_mixers.Impossible(f"there are {len(mixers)} mixers for {config['num_hidden_layers']} layers")
    window = mixers[layer].get("kind") == "sliding-window"
    if not config["causal"] and not window and not is_monte_carlo(mixers[layer]):
        raise reference_mixers.Impossible(f"mixers.{layer} is causal and the model is not")
    if config["causal"] and window and not mixers[layer].get("causal", True):
        raise reference_mixers.Impossible(f"mixers.{layer}.causal is false, and the model's is true")
    return mixers[layer]


def is_monte_carlo(mixer):
    """Whether an object of config.json stands for Monte Carlo Attention."""
    return mixer.get("kind") == "monte-carlo"


def first_values(config, weights, tokens):
    """What layers of rwkv7 blend their values with: the values of the model's first layer. [n, D]; None without any."""
    later = [mixer_of(config, layer) for layer in range(config["num_hidden_layers"])]
    if all(mixer["kind"] != "rwkv7" or mixer["first"] for mixer in later):
        return None
    firsts = [layer for layer, mixer in enumerate(later) if mixer["kind"] == "rwkv7" and mixer["first"]]
    last = max(layer for layer, mixer in enumerate(later) if mixer["kind"] == "rwkv7" and not mixer["first"])
    if [layer for layer in firsts if layer < last] != [0] or config["recurrence"] != 1:
        raise reference_mixers.Impossible("the model's first layer must be the one first layer of rwkv7, used once")
    rows = block_input(embed(tokens, weights, config), weights, 0, config)[:len(tokens)]
    return reference_mixers.rwkv7_values(rows, weights, "blocks.0.mixer.")


def mix(normed, weights, config, layer, repeat, count, values):
    """What the mixer of a layer makes of the normalised rows, of which `count` are tokens. [N, D] -> [N, D]

    Monte Carlo Attention mixes padding like any other rows. Other mixers do not see it, and it gets zeros.
    """
    name, mixer = f"blocks.{layer}.", mixer_of(config, layer)
    if is_monte_carlo(mixer):
        order = delegate_order(normed, weights, name, config, layer, repeat)
        return monte_carlo_attention(normed, order, weights, name, config)
    result = np.zeros_like(normed)
    own = values if mixer["kind"] == "rwkv7" and not mixer["first"] else None
    result[:count] = reference_mixers.mix(normed[:count], weights, name + "mixer.", mixer, own)
    return result


def block(rows, weights, config, layer, repeat, count, values=None):
    """One pass over rows of which `count` are tokens. values: as `first_values` gives them. [N, D] -> [N, D]"""
    name = f"blocks.{layer}."
    mixed = rows + mix(block_input(rows, weights, layer, config), weights, config, layer, repeat, count, values)
    stream = layer_norm(mixed, weights, name + "norm1.norm", config["layer_norm_eps"])
    return stream + temporal_convolutions(stream, weights, name, config)


def passes(config):
    """(layer, repeat) of every pass, in order."""
    return [(layer, repeat) for layer in range(config["num_hidden_layers"]) for repeat in range(config["recurrence"])]


def states(config, weights, tokens):
    """The state before the first pass, then the state after each pass, one at a time, each [N, D]."""
    rows = embed(tokens, weights, config)
    yield rows
    values = first_values(config, weights, tokens)
    for layer, repeat in passes(config):
        rows = block(rows, weights, config, layer, repeat, len(tokens), values)
        yield rows


def cost_in_bits(hidden, tokens, weights, eps):
    """-log2 of the probability that the rows before it gave each token; NaN for token 0. [n, D], [n] -> [n]"""
    costs = np.full(len(tokens), np.nan)
    logits = linear(layer_norm(hidden[:-1], weights, "norm", eps), weights["fc.weight"], weights["fc.bias"])
    logits -= logits.max(axis=1, keepdims=True)
    chosen = logits[np.arange(len(logits)), tokens[1:]]
    costs[1:] = (np.log(np.exp(logits).sum(axis=1)) - chosen) / math.log(2.0)
    return costs


def run(config, weights, tokens):
    """The whole model. tokens [n] -> layer1 [n, D], hidden [n, D], nll_bits [n], all float64

    layer1 is what the first pass gives, hidden what the last one gives.
    """
    count = len(tokens)
    for index, rows in enumerate(states(config, weights, tokens)):
        if index == 1:
            layer1 = rows[:count]
    hidden = rows[:count]
    return {"layer1": layer1, "hidden": hidden, "nll_bits": cost_in_bits(hidden, tokens, weights, config["layer_norm_eps"])}
