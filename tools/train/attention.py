"""Monte Carlo Attention: which rows meet in a patch, and what each of them sees.

A context has 2P rows: the P tokens of a patch, then the P delegates in its slots. Slot q = j·G + g holds the delegate of
token (g, j), so slot q of patch b = q div P is token (q mod G)·P + q div G. A row sees the rows of its context whose origin,
the token that they come from, is not after its own. With a context's rows in the order of their origins that is a prefix.
"""
from functools import lru_cache

import torch
import torch.nn.functional as F


@lru_cache(maxsize=16)
def contexts(count, patch_size, length, delegates, device):
    """Who meets whom. `count` rows are whole sequences of `length` tokens, one after another, each a whole number of patches.

    -> rows [contexts, R]: tokens' own rows (below `count`), and, with delegates, theirs (from `count` on), by origin
       place [count] or [2·count]: where each row is in `rows`, flattened
       visible [contexts, R]: how many rows of its context each one sees
    """
    G, sequences = length // patch_size, count // length
    own = torch.arange(length, device=device).view(G, patch_size)
    origin, row = own, own
    if delegates:
        slot = torch.arange(length, device=device)
        guest = (slot % G * patch_size + slot // G).view(G, patch_size)
        origin, order = torch.cat([guest, own], 1).sort(dim=1, stable=True)
        row = torch.cat([guest + count, own], 1).gather(1, order)
    visible = torch.searchsorted(origin.contiguous(), origin.contiguous(), right=True)
    rows = (row + torch.arange(sequences, device=device)[:, None, None] * length).flatten(0, 1)
    place = torch.empty(rows.numel(), dtype=torch.long, device=device)
    place[rows.flatten()] = torch.arange(rows.numel(), device=device)
    return rows, place, visible.repeat(sequences, 1)


class Permuted(torch.autograd.Function):
    """rows[there], each row once; `back` leads the other way, for the gradient, which is then no sum of scattered rows."""

    @staticmethod
    def forward(context, rows, there, back):
        context.save_for_backward(back)
        return rows[there]

    @staticmethod
    def backward(context, gradient):
        return gradient[context.saved_tensors[0]], None, None


def attend(qkv, heads, visible):
    """Attention among the rows of every context. qkv [contexts, R, 3D], visible [contexts, R] -> [contexts, R, D]

    On a GPU a row sees those up to itself: PyTorch has a fast kernel for that. It differs where a token and its delegate are
    in one context, one token in G: the delegate, which comes first, then does not see the token.
    """
    width = qkv.shape[2] // 3
    q, k, v = qkv.unflatten(2, (3, heads, width // heads)).permute(2, 0, 3, 1, 4)
    if qkv.is_cuda:
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    else:
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=torch.arange(qkv.shape[1]) < visible[:, None, :, None])
    return seen.transpose(1, 2).flatten(2)
