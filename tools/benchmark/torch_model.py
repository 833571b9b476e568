"""BigBang-Proton in PyTorch, written as one would from the model's description: whole sequence in memory, f32 or bf16.
Layers may have other mixers (torch_mixers.py, f32).

    tools/benchmark/torch_model.py check CASE...   # compares with fixtures of Tests/Fixtures, or any folders of that form
    tools/benchmark/torch_model.py time MODEL FILE # tokens a second over a file's first bytes, as JSON

The engine is measured against it (tools/bench). Attention is either written out (scores, mask, soft-max, sum), as the
published model has it, or PyTorch's fused one.
"""
import argparse
import json
import math
import struct
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F

import torch_mixers


def read_tensors(path):
    """The tensors of a .safetensors file (F32)."""
    data = bytearray(Path(path).read_bytes())
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    return {
        name: torch.frombuffer(data, dtype=torch.float32, count=math.prod(entry["shape"]), offset=8 + length + entry["data_offsets"][0])
        .reshape(entry["shape"]).clone()
        for name, entry in header.items()
    }


def plain_attention(q, k, v, attn_mask):
    scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
    return scores.masked_fill(~attn_mask, float("-inf")).softmax(-1) @ v


class Proton:
    def __init__(self, directory, dtype=torch.float32, attention="fused"):
        self.attention = F.scaled_dot_product_attention if attention == "fused" else plain_attention
        config = json.loads((Path(directory) / "config.json").read_text())
        self.P, self.D = config["patch_size"], config["hidden_size"]
        self.heads, self.layers = config["num_attention_heads"], config["num_hidden_layers"]
        self.mixers = config.get("mixers") or self.layers * [config.get("mixer", {"kind": "monte-carlo"})]
        self.eps = config.get("layer_norm_eps", 1e-5)
        self.dtype = dtype
        tensors = read_tensors(Path(directory) / "model.safetensors")
        self.position = tensors["coord_conv.conv.weight"], tensors["coord_conv.scale"]
        self.weights = {name: tensor.to(dtype) for name, tensor in tensors.items()}

    def norm(self, x, name):
        return F.layer_norm(x, (self.D,), self.weights[name + ".weight"], self.weights[name + ".bias"], self.eps)

    def embed(self, tokens, N):
        x = torch.zeros(N, self.D, dtype=self.dtype)
        x[: len(tokens)] = self.weights["codebook"][tokens]
        frequency = torch.exp(torch.arange(0, self.D, 2, dtype=torch.float64) * (-math.log(50000.0) / self.D))
        angle = torch.arange(N, dtype=torch.float64)[:, None] * frequency
        pe = torch.stack([angle.sin(), angle.cos()], -1).reshape(N, self.D).float()
        weight, scale = self.position
        return x + (scale * F.conv1d(pe.T[None], weight, padding=1, groups=self.D // 8)[0].T).to(self.dtype)

    def delegates(self, u, w, visible):
        """Monte Carlo Attention."""
        (N, D), P = u.shape, self.P
        G = N // P
        delegates = F.linear(u, w("cov1_delegate.weight").flatten(1), w("cov1_delegate.bias"))
        # Slot j·G + g holds token (g, j).
        slots = delegates.view(G, P, D).transpose(0, 1).reshape(G, P, D)
        context = torch.cat([u.view(G, P, D), slots], 1)
        q, k, v = F.linear(context, w("self_attn.qkv.weight").flatten(1)).view(G, 2 * P, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        y = self.attention(q, k, v, attn_mask=visible).transpose(1, 2).reshape(G, 2 * P, D)
        y = F.linear(y, w("self_attn.proj.weight").flatten(1), w("self_attn.proj.bias"))
        back = y[:, P:].reshape(P, G, D).transpose(0, 1).reshape(N, D)
        return (y[:, :P].reshape(N, D) + back) / 2

    def mix(self, x, i, n, visible):
        u, w = self.norm(x, f"blocks.{i}.pre_norm.norm"), lambda name: self.weights.get(f"blocks.{i}.{name}")
        mixer = self.mixers[i]
        if mixer["kind"] == "monte-carlo":
            return self.delegates(u, w, visible)
        # No other mixer sees padding.
        own = lambda name: w(f"mixer.{name}")
        if mixer["kind"] == "rwkv7" and mixer["first"]:
            self.first_values = torch_mixers.first_values(u[:n], own)
        return F.pad(torch_mixers.mix(u[:n], own, mixer, getattr(self, "first_values", None)), (0, 0, 0, len(x) - n))

    def block(self, x, i, n, visible):
        w = lambda name: self.weights[f"blocks.{i}.{name}"]
        s = self.norm(x + self.mix(x, i, n, visible), f"blocks.{i}.norm1.norm")
        c = F.conv1d(F.pad(s.T[None], (w("cov3.weight").shape[2] - 1, 0)), w("cov3.weight"), w("cov3.bias"))
        return s + F.conv1d(F.gelu(c), w("cov4.weight"), w("cov4.bias"))[0].T

    @torch.inference_mode()
    def forward(self, tokens, keep=()):
        """Surprisal in bits [n] of tokens [n], and the states after the layers in `keep` (1 is the first)."""
        n, P = len(tokens), self.P
        N = (n + P - 1) // P * P
        G = N // P
        x = self.embed(tokens, N)
        own = torch.arange(N).view(G, P)
        origin = torch.cat([own, own.T.reshape(G, P)], 1)
        visible = (origin[:, :, None] >= origin[:, None, :])[:, None]
        states = {}
        for i in range(self.layers):
            x = self.block(x, i, n, visible)
            if i + 1 in keep:
                states[i + 1] = x[:n].float()
        x = self.norm(x[:n], "norm")
        bits = torch.full((n,), float("nan"))
        for first in range(0, n - 1, 65536):
            last = min(first + 65536, n - 1)
            logits = F.linear(x[first:last], self.weights["fc.weight"], self.weights["fc.bias"]).float()
            bits[first + 1 : last + 1] = F.cross_entropy(logits, tokens[first + 1 : last + 1], reduction="none") / math.log(2)
        return bits, states


def check(case, attention):
    import numpy as np

    case = Path(case)
    tokens = torch.from_numpy(np.fromfile(case / "tokens.u16", "<u2").astype(np.int64))
    model = Proton(case, attention=attention)
    bits, states = model.forward(tokens, keep=(1, model.layers))
    worst = 0.0
    for name, got in (("layer1", states[1]), ("hidden", states[model.layers])):
        wanted = np.load(case / f"{name}.npy")
        worst = max(worst, float(np.abs(got.numpy() - wanted).max() / np.abs(wanted).max()))
    wanted = np.load(case / "nll_bits.npy")
    if len(wanted) > 1:
        worst = max(worst, float(np.abs(bits.numpy() - wanted)[1:].max()))
    if worst > 2e-4:
        sys.exit(f"{case}: differs by {worst:.1e}")
    print(f"{case}: agrees to {worst:.1e}")


def measure(arguments):
    """The second of two passes: the first one warms up."""
    torch.set_num_threads(arguments.threads)
    model = Proton(arguments.model, torch.bfloat16 if arguments.dtype == "bf16" else torch.float32, arguments.attention)
    data = Path(arguments.file).read_bytes()[: arguments.tokens]
    tokens = torch.frombuffer(bytearray(data), dtype=torch.uint8).long()
    model.forward(tokens[: arguments.warm_up])
    start = time.perf_counter()
    bits, _ = model.forward(tokens)
    seconds = time.perf_counter() - start
    print(json.dumps({"tokens_per_second": len(tokens) / seconds, "bits_per_token": float(bits[1:].mean()), "torch": torch.__version__}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    checking = commands.add_parser("check")
    checking.add_argument("cases", nargs="+")
    checking.set_defaults(run=lambda arguments: [check(case, attention) for case in arguments.cases for attention in ("plain", "fused")])
    timing = commands.add_parser("time")
    timing.add_argument("model")
    timing.add_argument("file")
    timing.add_argument("--tokens", type=int)
    timing.add_argument("--warm-up", type=int, help="tokens of the pass that warms up; all if not given")
    timing.add_argument("--threads", type=int, default=1)
    timing.add_argument("--attention", choices=["plain", "fused"], default="fused")
    timing.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    timing.set_defaults(run=measure)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
