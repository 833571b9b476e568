"""Monte Carlo Attention: which rows meet in a patch, and what each of them sees.

A context has 2P rows: the P tokens of a patch, then the P delegates in its slots. Slot q = j·G + g holds the delegate of
token (g, j), so slot q of patch b = q div P is token (q mod G)·P + q div G. A row sees the rows of its context whose origin,
the token that they come from, is not after its own. With a context's rows in the order of their origins that is a prefix.
"""
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch.nn.attention.flex_attention import BlockMask, flex_attention


BLOCK = 128  # rows of a context that a GPU's kernel takes or leaves out together
# Training has few sizes, which are compiled each; scoring has as many as there are files.
fused, fused_of_any_size = (torch.compile(flex_attention, dynamic=dynamic) for dynamic in (False, True))


class Sight:
    """What each row of each context sees: the first visible[context, row] rows of it, no fewer than the row before it does."""

    def __init__(self, visible):
        self.visible, self.blocks = visible, None
        R = visible.shape[1]
        if visible.is_cuda and R % BLOCK == 0:
            # Blocks of rows by blocks of rows: those that all of them see, and those that some see in part.
            numbers = torch.arange(R // BLOCK, device=visible.device, dtype=torch.int32)
            whole = (visible[:, ::BLOCK] // BLOCK).int()
            partly = ((visible[:, BLOCK - 1 :: BLOCK] + BLOCK - 1) // BLOCK).int() - whole
            every = numbers.expand(*whole.shape, -1)
            self.blocks = BlockMask.from_kv_blocks(
                partly[:, None], ((every + whole[..., None]) % len(numbers))[:, None], whole[:, None], every[:, None].contiguous(),
                BLOCK_SIZE=BLOCK, mask_mod=lambda context, head, row, other: other < visible[context, row], seq_lengths=(R, R))

    def __getitem__(self, contexts):
        return Sight(self.visible[contexts])


@lru_cache(maxsize=16)
def contexts(count, patch_size, length, delegates, device):
    """Who meets whom. `count` rows are whole sequences of `length` tokens, one after another, each a whole number of patches.

    -> rows [contexts, R]: tokens' own rows (below `count`), and, with delegates, theirs (from `count` on), by origin
       place [count] or [2·count]: where each row is in `rows`, flattened
       sight: what each row of its context sees
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
    return rows, place, Sight(visible.repeat(sequences, 1))


class Permuted(torch.autograd.Function):
    """rows[there], each row once; `back` leads the other way, for the gradient, which is then no sum of scattered rows."""

    @staticmethod
    def forward(context, rows, there, back):
        context.save_for_backward(back)
        return rows[there]

    @staticmethod
    def backward(context, gradient):
        return gradient[context.saved_tensors[0]], None, None


def attend(qkv, heads, sight):
    """Attention among the rows of every context. qkv [contexts, R, 3D] -> [contexts, R, D]"""
    width = qkv.shape[2] // 3
    q, k, v = qkv.unflatten(2, (3, heads, width // heads)).permute(2, 0, 3, 1, 4)
    if sight.blocks is not None:
        seen = (fused if qkv.requires_grad else fused_of_any_size)(q, k, v, block_mask=sight.blocks)
    else:
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=torch.arange(qkv.shape[1], device=qkv.device) < sight.visible[:, None, :, None])
    return seen.transpose(1, 2).flatten(2)
