"""Sequence mixers in PyTorch, each as its formula reads (Model.md, "Mixers"): recurrences row by row, windows with
their scores written out. tools/bench measures the engine beside them.

    tools/benchmark/torch_mixers.py check CASE...   # compares with cases of one mixer, as in Tests/Fixtures/mixers

A mixer is a function (u, w, fields, first) -> [n, D]: u [n, D] the normalised rows, w what gives a tensor by the end of
its name, None where there is none, fields its object in config.json with all defaults, and first [n, D] the values of
the model's first layer, which rwkv7 alone looks at.
"""
import json
import math
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from reference_mixers import complete, slopes  # fields and constants; no arithmetic of rows

ROWS_AT_ONCE = 256  # of scores that are written out


def heads_of(rows, heads):
    """[n, H·d] -> [H, n, d]"""
    return rows.view(len(rows), heads, -1).transpose(0, 1)


def projected(u, w, name):
    return F.linear(u, w(f"{name}_proj.weight"), w(f"{name}_proj.bias"))


def rms(x, eps, weight=None):
    x = x * (x.square().mean(-1, keepdim=True) + eps).rsqrt()
    return x if weight is None else x * weight


def rotated(x, rope):
    """[H, n, d]: pairs of features turned by their row's number. Angles in f64, as they have to be."""
    if rope is None:
        return x
    pairs = x.shape[2] // 2
    steps = pairs if rope["spacing"] == "standard" else pairs - 1
    frequencies = rope["theta"] ** (-torch.arange(pairs, dtype=torch.float64) / steps)
    angles = torch.arange(x.shape[1], dtype=torch.float64)[:, None] * frequencies
    cos, sin = angles.cos().float(), angles.sin().float()
    if rope["layout"] == "half":
        a, b = x[..., :pairs], x[..., pairs:]
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)
    a, b = x[..., ::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, b * cos + a * sin], -1).flatten(-2)


def sliding_window(u, w, f, first=None):
    heads, group, window = f["num_heads"], f["num_heads"] // f["num_kv_heads"], f["window"]
    q, k, v = (heads_of(projected(u, w, name), count) for name, count in zip("qkv", (heads, *2 * [f["num_kv_heads"]])))
    q, k = rotated(q, f["rope"]), rotated(k, f["rope"])
    k, v = k.repeat_interleave(group, 0), v.repeat_interleave(group, 0)
    dilations = f["dilation"] if isinstance(f["dilation"], list) else [f["dilation"]]
    step = torch.tensor(dilations)[:, None, None]
    out = torch.empty_like(q)
    for begin in range(0, len(u), ROWS_AT_ONCE):
        end, earliest = min(begin + ROWS_AT_ONCE, len(u)), max(0, begin - window * max(dilations))
        back = torch.arange(begin, end)[:, None] - torch.arange(earliest, end)
        sees = (back >= 0) & (back <= window * step) & (back % step == 0)
        scores = q[:, begin:end] @ k[:, earliest:end].transpose(1, 2) * q.shape[2] ** -0.5
        out[:, begin:end] = scores.masked_fill(~sees, -math.inf).softmax(-1) @ v[:, earliest:end]
    return projected(out.transpose(0, 1).flatten(1), w, "o")


def transformer_xl(u, w, f, first=None):
    heads, segment, memory, clamp = (f[name] for name in ("num_heads", "segment", "memory", "clamp_length"))
    (n, D) = u.shape
    q, k, v = (heads_of(projected(u, w, name), heads) for name in "qkv")
    distances = torch.arange(min(n, segment + memory), dtype=torch.float64)
    if clamp > 0:
        distances.clamp_(max=clamp)
    angles = distances[:, None] * 10000.0 ** (-torch.arange(0, D, 2, dtype=torch.float64) / D)
    r = heads_of(projected(torch.cat([angles.sin(), angles.cos()], 1).float(), w, "r"), heads)
    out = torch.empty_like(q)
    for begin in range(0, n, segment):
        end, earliest = min(begin + segment, n), max(0, begin - memory)
        back = torch.arange(begin, end)[:, None] - torch.arange(earliest, end)
        sees = (back >= 0) & (back < memory if f["same_length"] else True)
        own = q[:, begin:end]
        place = (own + w("v_bias")[:, None]) @ r[:, : end - earliest].transpose(1, 2)
        scores = (own + w("u_bias")[:, None]) @ k[:, earliest:end].transpose(1, 2)
        scores = (scores + place.gather(2, back.clamp(min=0).expand(heads, -1, -1))) * q.shape[2] ** -0.5
        out[:, begin:end] = scores.masked_fill(~sees, -math.inf).softmax(-1) @ v[:, earliest:end]
    return projected(out.transpose(0, 1).flatten(1), w, "o")


def decayed(q, k, v, decay):
    """What queries read of a matrix a head that fades row by row. [H, n, dk], [H, n, dv], [n or 1, H] -> [n, H, dv]"""
    (H, n, dk), dv = k.shape, v.shape[2]
    state, out = torch.zeros(H, dk, dv), torch.empty(n, H, 1, dv)
    q, k, v = (x.transpose(0, 1).contiguous() for x in (q, k, v))
    decay = decay[:, :, None, None].expand(n, H, 1, 1)
    for t in range(n):
        state = state * decay[t] + k[t, :, :, None] * v[t, :, None]
        torch.matmul(q[t, :, None], state, out=out[t])
    return out[:, :, 0]


def linear_attention(u, w, f, first=None):
    q, k, v = (heads_of(projected(u, w, name), f["num_heads"]) for name in "qkv")
    if f["feature_map"] == "elu+1":
        q, k = (torch.where(x > 0, x + 1, x.clamp(max=0).exp()) for x in (q, k))
    q = q * f["head_k_dim"] ** -0.5
    o = decayed(q, k, v, torch.ones(1, f["num_heads"]))
    if f["normalize"]:
        # The sum of so many terms, in f64.
        o = o / ((q * k.double().cumsum(1).float()).sum(-1).T[..., None] + 1e-10)
    if w("norm.weight") is not None:
        o = rms(o, f["norm_eps"], w("norm.weight"))
    return projected(o.flatten(1), w, "o")


def retention(u, w, f, first=None):
    heads = f["num_heads"]
    q, k, v = (heads_of(projected(u, w, name), heads) for name in "qkv")
    q, k = rotated(q, f["rope"]) * f["head_k_dim"] ** -0.5, rotated(k, f["rope"])
    o = decayed(q, k, v, 1 - 2.0 ** (-5 - torch.arange(heads)[None]))
    return projected(F.silu(projected(u, w, "g")) * rms(o, f["norm_eps"], w("norm.weight")).flatten(1), w, "o")


def transnormer(u, w, f, first=None):
    q, k, v = (heads_of(projected(u, w, name), f["num_heads"]) for name in "qkv")
    q, k = F.silu(q), F.silu(k)
    if f["lrpe"]:
        angles = torch.arange(len(u), dtype=torch.float64)[:, None] * w("theta").double()[:, None]
        q, k = (torch.cat([x * angles.cos().float(), x * angles.sin().float()], 2) for x in (q, k))
    rates = torch.from_numpy(slopes(f["num_heads"])) * (1 - f["layer"] / (f["layers"] - 1) + 1e-5)
    o = decayed(q, k, v, torch.exp(-rates).float()[None]).flatten(1)
    return projected(projected(u, w, "g") * rms(o, f["norm_eps"]), w, "o")


def convolved(x, weight, bias):
    """silu of every channel's own convolution over the last K rows. [n, C]"""
    x = F.pad(x.T[None], (weight.shape[1] - 1, 0))
    return F.silu(F.conv1d(x, weight[:, None], bias, groups=len(weight)))[0].T


def mamba(u, w, f, first=None):
    states, rank = f["state"], f["dt_rank"]
    x, z = projected(u, w, "in").chunk(2, 1)
    x = convolved(x, w("conv.weight"), w("conv.bias"))
    p, b, c = projected(x, w, "x").split([rank, states, states], 1)
    step = F.softplus(projected(p, w, "dt"))
    rate = -w("A_log").exp()
    state, out = torch.zeros_like(rate), torch.empty(*x.shape, 1)
    for t in range(len(u)):
        state = torch.exp(step[t, :, None] * rate) * state + (step[t] * x[t])[:, None] * b[t]
        torch.matmul(state, c[t, :, None], out=out[t])
    return projected((out[..., 0] + w("D") * x) * F.silu(z), w, "o")


def mamba2(u, w, f, first=None):
    heads, groups, states = f["num_heads"], f["groups"], f["state"]
    E, n = heads * f["head_dim"], len(u)
    z, x, dt = projected(u, w, "in").split([E, E + 2 * groups * states, heads], 1)
    x, b, c = convolved(x, w("conv.weight"), w("conv.bias")).split([E, groups * states, groups * states], 1)
    x, b, c = heads_of(x, heads), heads_of(b, groups), heads_of(c, groups)
    b, c = b.repeat_interleave(heads // groups, 0), c.repeat_interleave(heads // groups, 0)
    step = F.softplus(dt + w("dt_bias"))
    o = decayed(c, b, step.T[..., None] * x, torch.exp(-w("A_log").exp() * step))
    o = (o + w("D")[:, None] * x.transpose(0, 1)).reshape(n, E) * F.silu(z)
    return projected(rms(o.view(n, groups, -1), f["norm_eps"]).view(n, E) * w("norm.weight"), w, "o")


def s4d(u, w, f, first=None):
    """As the published code has it: a convolution with the whole sequence, through Fourier transforms."""
    n = len(u)
    rate = torch.complex(-w("log_A_real").exp(), w("A_imag")).to(torch.complex128)
    stays = rate * w("log_dt").double().exp()[:, None]
    output = torch.view_as_complex(w("C")).to(torch.complex128) * torch.expm1(stays) / rate
    kernel = torch.empty(len(rate), n)
    powers = torch.exp(stays[..., None] * torch.arange(min(n, 1024)))
    for begin in range(0, n, 1024):
        part = kernel[:, begin : begin + 1024]
        outputs = (2 * output * torch.exp(begin * stays))[:, None]
        part.copy_((outputs @ powers[..., : part.shape[1]])[:, 0].real)
    x = u.T.contiguous()
    y = torch.fft.irfft(torch.fft.rfft(x, 2 * n) * torch.fft.rfft(kernel, 2 * n), 2 * n)[:, :n]
    return F.glu(projected(F.gelu((y + w("D")[:, None] * x).T), w, "o"), 1)


def shifted(u):
    return F.pad(u, (0, 0, 1, 0))[:-1] - u


def normed_heads(o, w):
    """[n, H, p] -> [n, D]"""
    return F.group_norm(o.flatten(1), o.shape[1], w("norm.weight"), w("norm.bias"), 64e-5)


def rwkv6(u, w, f, first=None):
    n, heads = len(u), f["num_heads"]
    step = shifted(u)
    z = torch.tanh((u + step * w("mu_x")) @ w("mix_w1")).view(n, 5, -1).transpose(0, 1)
    shares = torch.baddbmm(torch.stack([w(f"mu_{c}") for c in "wkvrg"])[:, None], z, w("mix_w2"))
    of_w, of_k, of_v, of_r, of_g = u + step * shares
    kept = torch.exp(-torch.exp(w("decay") + torch.tanh(of_w @ w("decay_w1")) @ w("decay_w2"))).view(n, heads, -1, 1)
    r, k, v = (projected(x, w, c).view(n, heads, -1) for x, c in ((of_r, "r"), (of_k, "k"), (of_v, "v")))
    state, out = torch.zeros(heads, r.shape[2], r.shape[2]), torch.empty(n, heads, 1, r.shape[2])
    for t in range(n):
        new = k[t, :, :, None] * v[t, :, None]
        torch.matmul(r[t, :, None], torch.addcmul(state, w("bonus")[..., None], new), out=out[t])
        state = torch.addcmul(new, kept[t], state)
    return projected(F.silu(projected(of_g, w, "g")) * normed_heads(out[:, :, 0], w), w, "o")


def rwkv7(u, w, f, first=None):
    n, heads = len(u), f["num_heads"]
    step = shifted(u)
    of_r, of_w, of_k, of_v, of_a, of_g = (u + step * w(f"mu_{c}") for c in "rwkvag")

    def through(x, name, function=lambda x: x):
        return function(x @ w(f"{name}_w1")) @ w(f"{name}_w2")

    kept = torch.exp(-math.exp(-0.5) * torch.sigmoid(w("decay") + through(of_w, "decay", torch.tanh)))
    rate = torch.sigmoid(w("rate") + through(of_a, "rate"))
    gate = through(of_g, "gate", torch.sigmoid)
    r, k, v = (projected(x, w, c) for x, c in ((of_r, "r"), (of_k, "k"), (of_v, "v")))
    if not f["first"]:
        v = v + (first - v) * torch.sigmoid(w("value") + through(of_v, "value"))
    direction = F.normalize((k * w("k_k")).view(n, heads, -1), dim=-1, eps=1e-12)
    k = k * (1 + (rate - 1) * w("k_a"))
    r, k, v, kept, rate = (x.view(n, heads, -1) for x in (r, k, v, kept, rate))
    back = direction * rate
    state, out = torch.zeros(heads, r.shape[2], r.shape[2]), torch.empty(n, heads, r.shape[2], 1)
    for t in range(n):
        said = state @ direction[t, :, :, None]
        state = state * kept[t, :, None] - said * back[t, :, None] + v[t, :, :, None] * k[t, :, None]
        torch.matmul(state, r[t, :, :, None], out=out[t])
    o = normed_heads(out[..., 0], w) + ((r * k * w("r_k")).sum(-1, keepdim=True) * v).flatten(1)
    return projected(o * gate, w, "o")


def first_values(u, w):
    """Of the model's first layer, rwkv7."""
    return projected(u + shifted(u) * w("mu_v"), w, "v")


KINDS = {"sliding-window": sliding_window, "transformer-xl": transformer_xl, "linear-attention": linear_attention,
         "retention": retention, "transnormer": transnormer, "rwkv6": rwkv6, "rwkv7": rwkv7, "s4d": s4d, "mamba": mamba,
         "mamba2": mamba2}


def mix(u, w, mixer, first=None):
    """What a mixer, an object of config.json, makes of rows [n, D]."""
    return KINDS[mixer["kind"]](u, w, complete(mixer, u.shape[1]), first)


@torch.inference_mode()
def check(case):
    """Ends the program where a case differs; says so where its kind or an option of it is not known here."""
    import numpy as np
    from torch_model import read_tensors

    case = Path(case)
    config = json.loads((case / "config.json").read_text())
    mixer = config["mixer"] if "mixer" in config else config["mixers"][0]
    if mixer["kind"] not in KINDS or not mixer.get("causal", True) or mixer.get("global_tokens"):
        print(f"{case}: {mixer['kind']} not known here")
        return
    tensors = read_tensors(case / "model.safetensors")
    u, wanted = (torch.from_numpy(np.load(case / name)) for name in ("u.npy", "y.npy"))
    first = torch.from_numpy(np.load(case / "v_first.npy")) if (case / "v_first.npy").exists() else None
    got = mix(u, lambda name: tensors.get(f"blocks.0.mixer.{name}"), mixer, first)
    worst = float((got - wanted).abs().max() / wanted.abs().max())
    if not worst <= 1e-5:
        sys.exit(f"{case}: differs by {worst:.1e}")
    print(f"{case}: agrees to {worst:.1e}")


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] != "check":
        sys.exit(__doc__)
    for path in sys.argv[2:]:
        check(path)
