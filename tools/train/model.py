"""BigBang-Proton in PyTorch, for training: the mathematics of Model.md over many sequences of one length at a time.

Rows are [N, D], N = sequences · length, all sequences one after another. Matrices are kept as [outputs, inputs]; checkpoints
(checkpoint.py) have the published names and shapes.
"""
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

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

    def own_and_delegates(self, x):
        """Steps 1 and 2: the rows that take part in attention. [N, D] -> [N, D], or with delegates [2N, D]"""
        u = normalized(x, self.pre_norm)
        return torch.cat([u, linear(u, self.delegate, self.delegate_bias)]) if self.config.delegates else u

    def before_attention(self, x, rows, place):
        """Steps 1 to 4 and 5's projections: q, k, v of all contexts' rows. [N, D], [contexts, R] -> [contexts, R, 3D]"""
        return linear(Permuted.apply(self.own_and_delegates(x), rows.flatten(), place), self.qkv).unflatten(0, rows.shape)

    def after_attention(self, x, attended, rows, place, index):
        """Steps 6 to 9. `index` [N] says where rows are in their sequences. [N, D], [contexts, R, D] -> [N, D]"""
        attended = Permuted.apply(attended.flatten(0, 1), place, rows.flatten())
        return self.mixed(x, attended.view(-1, *x.shape), index)

    def mixed(self, x, attended, index):
        """Steps 6 to 9 for rows one after another. [N, D], [1 or 2, N, D] own rows' and delegates' -> [N, D]"""
        # The projection is affine: the mean of own rows and delegates may be taken before it.
        attended = attended.sum(0) / len(attended)
        s = normalized(x + linear(attended, self.projection, self.projection_bias), self.norm1)
        activation = getattr(F, self.config.hidden_act)
        c = s
        for shape, weight, bias in zip(self.config.convolutions, self.convolutions, self.convolution_biases):
            c = activation(linear(taps(c, shape[0], shape[1], index), weight, bias))
        if self.config.projects_back:
            c = linear(c, self.back, self.back_bias)
        return s + c

    def in_parts(self, x, rows, sight, index, most=1 << 20):
        """The whole block without gradients, `most` rows at once: a sequence of any length that fits itself. [N, D] -> [N, D]"""
        u = self.own_and_delegates(x)
        attended = torch.empty_like(u)
        contexts = max(1, most // rows.shape[1])
        for first in range(0, len(rows), contexts):
            part = rows[first : first + contexts]
            seen = attend(linear(u[part], self.qkv), self.config.num_attention_heads, sight[first : first + contexts])
            attended[part.flatten()] = seen.flatten(0, 1)
        del u
        attended, out = attended.view(-1, *x.shape), torch.empty_like(x)
        reach = sum((kernel - 1) * dilation for kernel, dilation, _, _ in self.config.convolutions)
        for first in range(0, len(x), most):
            behind = min(first, reach)
            part = slice(first - behind, first + most)
            out[first : first + most] = self.mixed(x[part], attended[:, part], index[part])[behind:]
        return out


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
        self.most_kept = 1 << 18  # rows whose blocks are not computed again for their gradients
        self.patch_size = config.patch_size  # no weight depends on it: training may begin with shorter patches
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
            x = torch.where(flat[:, None] == PAD, 0, x) + self.position_term(length, start).repeat(B, 1)
        index = torch.arange(length, device=x.device).repeat(B)
        rows, place, sight = contexts(len(flat), self.patch_size, length, config.delegates, x.device)
        before, after = self.fused
        for block in self.blocks:
            for _ in range(config.recurrence):
                if not self.training:
                    x = block.in_parts(x, rows, sight, index)
                else:
                    def whole(x, block=block):
                        return after(block, x, attend(before(block, x, rows, place), config.num_attention_heads, sight), rows, place, index)

                    # What is between the states of two blocks may be more than a GPU holds.
                    x = checkpoint(whole, x, use_reentrant=False) if len(x) > self.most_kept else whole(x)
                if keep is not None:
                    keep.append(x)
        return x

    def position_term(self, length, start, most=1 << 20):
        """[length, D] for positions from `start` on, in `dtype`; `most` of them at once."""
        D, device = self.config.hidden_size, self.position.device
        rate = 50000.0 ** (-torch.arange(0, D, 2, dtype=torch.float64, device=device) / D)
        parts = []
        for first in range(0, length, most):
            end = min(first + most, length)
            before, behind = min(first, 1), min(length - end, 1)  # the neighbours that the convolution sees; zeros beyond the ends
            positions = torch.arange(start + first - before, start + end + behind, dtype=torch.float64, device=device)
            # Large angles need double precision, their sines do not.
            angle = ((positions[:, None] * rate) % (2 * math.pi)).float()
            table = F.pad(torch.stack([angle.sin(), angle.cos()], -1).flatten(1).T, (1 - before, 1 - behind))
            parts.append((self.position_scale * F.conv1d(table[None], self.position, groups=D // 8)[0].T).to(self.dtype))
        return torch.cat(parts)


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
    padded = F.pad(tokens, (0, -len(tokens) % model.patch_size), value=PAD)
    with torch.no_grad():
        bits = bits_of(model, padded[None])[0, : len(tokens) - 1]
    return torch.cat([torch.full((1,), float("nan"), device=bits.device), bits])
