"""Monte Carlo Attention between the projections: queries, keys and values of a patch's rows in, attended rows out.

A context has 2P rows: the P tokens of a patch, then the P delegates in its slots. Slot q = j·G + g holds the delegate of
token (g, j), so slot q of patch b = q div P is token (q mod G)·P + q div G. A row sees the rows of its context whose origin
is not after its own.

`attend` is the definition, on any device; on a CUDA device the kernels of attention_triton.py compute the same, without
ever laying contexts out in memory.
"""
import torch
import torch.nn.functional as F


def attend(qkv, heads, patch_size, length, delegates=True):
    """Attention among the rows of every patch.

    qkv [2N, 3D]: of the N tokens' own rows, then of their delegates ([N, 3D] without delegates). N tokens are whole
    sequences of `length` tokens, one after another, each a whole number of patches. -> [2N, D] (or [N, D]), in the same order.
    """
    if qkv.is_cuda:
        from attention_triton import PatchAttention

        return PatchAttention.apply(qkv, heads, patch_size, length, delegates)
    rows, origin = contexts(len(qkv) // (2 if delegates else 1), patch_size, length, delegates, qkv.device)
    width = qkv.shape[1] // 3
    q, k, v = qkv[rows].unflatten(2, (3, heads, width // heads)).permute(2, 0, 3, 1, 4)
    visible = origin[:, None, :, None] >= origin[:, None, None, :]
    seen = F.scaled_dot_product_attention(q, k, v, attn_mask=visible).transpose(1, 2).reshape(-1, width)
    return torch.empty_like(seen).index_copy(0, rows.flatten(), seen)


def contexts(count, patch_size, length, delegates, device):
    """The rows of qkv in each context, and the token of its sequence that each comes from. -> [patches, R], [patches, R]"""
    G, sequences = length // patch_size, count // length
    own = torch.arange(length, device=device).view(G, patch_size)
    first = torch.arange(sequences, device=device)[:, None, None] * length
    if not delegates:
        return (own + first).flatten(0, 1), own.expand(sequences, -1, -1).flatten(0, 1)
    slot = torch.arange(length, device=device)
    guest = (slot % G * patch_size + slot // G).view(G, patch_size)
    rows = torch.cat([own + first, guest + first + count], 2)
    return rows.flatten(0, 1), torch.cat([own, guest], 1).expand(sequences, -1, -1).flatten(0, 1)
