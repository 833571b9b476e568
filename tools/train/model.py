"""BigBang-Proton in PyTorch, for training: the mathematics of Model.md over many sequences of one length at a time.

Rows are [N, D], N = sequences · length, all sequences one after another. Matrices are kept as [outputs, inputs]; checkpoints
(checkpoint.py) have the published names and shapes.
"""
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from attention import Permuted, attend, contexts

VOCABULARY, BOS, EOS, PAD = 259, 256, 257, 258


@dataclass
class Config:
    """config.json, as far as models can be trained here: transposed or no delegates, causal."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    patch_size: int
    intermediate_size: int = 0
    conv_kernel_size: int = 0
    tcn: list | None = None
    hidden_act: str = "gelu"
    recurrence: int = 1
    positional_encoding: str = "none"
    layer_norm_eps: float = 1e-5
    # Not in config.json: models without delegates are trained to compare with.
    delegates: bool = True

    @property
    def convolutions(self):
        """(kernel, dilation, inputs, outputs) of step 9's convolutions, one after another."""
        shapes = self.tcn or [{"kernel_size": self.conv_kernel_size, "channels": self.intermediate_size}]
        widths = [self.hidden_size] + [shape["channels"] for shape in shapes]
        return [(shape["kernel_size"], shape.get("dilation", 1), *pair) for shape, pair in zip(shapes, zip(widths, widths[1:]))]

    @property
    def inner_size(self):
        return self.convolutions[-1][3]

    @property
    def projects_back(self):
        return self.tcn is None or self.inner_size != self.hidden_size


def matrix(outputs, inputs, gain=1.0):
    return nn.Parameter(torch.randn(outputs, inputs) * gain * inputs**-0.5)


def linear(rows, weight, bias=None):
    """Weights are f32; they are rounded to what the rows are computed in."""
    return F.linear(rows, weight.to(rows.dtype), None if bias is None else bias.to(rows.dtype))


def normalized(rows, norm):
    return F.layer_norm(rows, norm.normalized_shape, norm.weight.to(rows.dtype), norm.bias.to(rows.dtype), norm.eps)


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config, D = config, config.hidden_size
        self.pre_norm = nn.LayerNorm(D, config.layer_norm_eps)
        self.norm1 = nn.LayerNorm(D, config.layer_norm_eps)
        if config.delegates:
            self.delegate, self.delegate_bias = matrix(D, D), nn.Parameter(torch.zeros(D))
        self.qkv = matrix(3 * D, D)
        self.projection, self.projection_bias = matrix(D, D, 0.5), nn.Parameter(torch.zeros(D))
        self.convolutions = nn.ParameterList(matrix(outputs, kernel * inputs) for kernel, _, inputs, outputs in config.convolutions)
        self.convolution_biases = nn.ParameterList(torch.zeros(outputs) for _, _, _, outputs in config.convolutions)
        if config.projects_back:
            self.back, self.back_bias = matrix(D, config.inner_size, 0.5), nn.Parameter(torch.zeros(D))

    def before_attention(self, x, rows, place):
        """Steps 1 to 4 and 5's projections: q, k, v of all contexts' rows. [N, D], [contexts, R] -> [contexts, R, 3D]"""
        u = normalized(x, self.pre_norm)
        if self.config.delegates:
            u = torch.cat([u, linear(u, self.delegate, self.delegate_bias)])
        return linear(Permuted.apply(u, rows.flatten(), place), self.qkv).unflatten(0, rows.shape)

    def after_attention(self, x, attended, rows, place, index):
        """Steps 6 to 9. `index` [N] says where rows are in their sequences. [N, D], [contexts, R, D] -> [N, D]"""
        attended = Permuted.apply(attended.flatten(0, 1), place, rows.flatten())
        if self.config.delegates:
            own, returned = attended.chunk(2)
            attended = (own + returned) / 2  # the projection is affine: the mean may be taken before it
        s = normalized(x + linear(attended, self.projection, self.projection_bias), self.norm1)
        activation = getattr(F, self.config.hidden_act)
        c = s
        for shape, weight, bias in zip(self.config.convolutions, self.convolutions, self.convolution_biases):
            c = activation(linear(taps(c, shape[0], shape[1], index), weight, bias))
        if self.config.projects_back:
            c = linear(c, self.back, self.back_bias)
        return s + c


def taps(rows, kernel, dilation, index):
    """The rows that each output of a causal convolution sees, zero before a sequence's start. [N, I] -> [N, kernel·I]"""
    seen = []
    for behind in range((kernel - 1) * dilation, -1, -dilation):
        earlier = F.pad(rows, (0, 0, behind, 0))[: len(rows)] if behind else rows
        seen.append(torch.where(index[:, None] >= behind, earlier, 0) if behind else earlier)
    return torch.cat(seen, 1) if len(seen) > 1 else seen[0]


class Proton(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config, D = config, config.hidden_size
        self.codebook = nn.Parameter(torch.randn(VOCABULARY, D) * 0.5)
        if config.positional_encoding == "coord_conv":
            self.position, self.position_scale = nn.Parameter(torch.randn(D, 8, 3) * 24**-0.5), nn.Parameter(torch.ones(1))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(D, config.layer_norm_eps)
        self.head, self.head_bias = nn.Parameter(torch.zeros(VOCABULARY, D)), nn.Parameter(torch.zeros(VOCABULARY))
        self.dtype = torch.float32
        self.fused = Block.before_attention, Block.after_attention

    def compile(self):
        """Fuses what lies between the matrix products, in training, where all batches have one size."""
        torch._dynamo.config.recompile_limit = 64
        self.fused = [torch.compile(part, dynamic=False) for part in self.fused]

    def logits(self, x):
        return F.linear(normalized(x, self.norm).float(), self.head, self.head_bias)

    def forward(self, tokens, keep=None, start=0):
        """States after the last pass. tokens [B, length], a whole number of patches; PAD beyond an end. -> [N, D] in `dtype`

        `keep`: a list that the states after every pass, [N, D], are appended to. `start`: the position that the first tokens
        are given; other than 0 to train for sequences longer than those at hand.
        """
        config, (B, length) = self.config, tokens.shape
        flat = tokens.flatten()
        x = F.embedding(flat, self.codebook).to(self.dtype)
        if config.positional_encoding == "coord_conv":
            x = torch.where(flat[:, None] == PAD, 0, x) + self.position_term(length, start).to(x.dtype).repeat(B, 1)
        index = torch.arange(length, device=x.device).repeat(B)
        rows, place, visible = contexts(len(flat), config.patch_size, length, config.delegates, x.device)
        before, after = self.fused if self.training else (Block.before_attention, Block.after_attention)
        for block in self.blocks:
            for _ in range(config.recurrence):
                x = after(block, x, attend(before(block, x, rows, place), config.num_attention_heads, visible), rows, place, index)
                if keep is not None:
                    keep.append(x)
        return x

    def position_term(self, length, start):
        """[length, D] for positions from `start` on."""
        D, device = self.config.hidden_size, self.position.device
        rate = 50000.0 ** (-torch.arange(0, D, 2, dtype=torch.float64, device=device) / D)
        # Large angles need double precision, their sines do not.
        angle = ((torch.arange(start, start + length, dtype=torch.float64, device=device)[:, None] * rate) % (2 * math.pi)).float()
        table = torch.stack([angle.sin(), angle.cos()], -1).flatten(1)
        return self.position_scale * F.conv1d(table.T[None], self.position, padding=1, groups=D // 8)[0].T


def bits_of(model, tokens, start=0):
    """-log2 of the probability that each token's predecessors in its sequence give it, all but the first. [B, length] -> [B, length - 1]"""
    states = model(tokens, start=start).view(*tokens.shape, -1)[:, :-1]
    rows = 1 << 20  # logits of so many tokens are held at once
    parts = [
        F.cross_entropy(model.logits(part), wanted, reduction="none")
        for part, wanted in zip(states.flatten(0, 1).split(rows), tokens[:, 1:].flatten().split(rows))
    ]
    return torch.cat(parts).view(len(tokens), -1) / math.log(2)


def surprisal(model, tokens):
    """Bits of every token of one sequence of any length, NaN for the first. tokens [n] -> [n] float32"""
    padded = F.pad(tokens, (0, -len(tokens) % model.config.patch_size), value=PAD)
    with torch.no_grad():
        bits = bits_of(model, padded[None])[0, : len(tokens) - 1]
    return torch.cat([torch.full((1,), float("nan"), device=bits.device), bits])
