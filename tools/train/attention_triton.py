"""Attention inside patches on a GPU: a program computes a block of rows of one head of one patch, its rows fetched from where they lie.

The delegate transpose is index arithmetic in the loads and stores, so that nothing is laid out anew. Soft-max runs along blocks
of keys (T. Dao et al., arXiv 2205.14135); blocks of which nothing is seen are passed over, about half of them.
"""
import torch
import triton
import triton.language as tl


@triton.jit
def rows_of_context(index, patch, count, length, P: tl.constexpr):
    """Rows `index` of the context of patch `patch`, counted over all sequences. -> row of qkv, token of the sequence"""
    G = length // P
    sequence = patch // G
    slot = (patch % G) * P + index % P
    guest = slot % G * P + slot // G
    token = tl.where(index < P, slot, guest)
    return tl.where(index < P, 0, count).to(tl.int64) + sequence.to(tl.int64) * length + token, token


@triton.jit
def block_of_rows(qkv, first, patch, count, length, channel, P: tl.constexpr, D: tl.constexpr, BLOCK: tl.constexpr):
    """-> where q of BLOCK rows begins (k and v are D and 2D further), the rows, their origins"""
    row, origin = rows_of_context(first + tl.arange(0, BLOCK), patch, count, length, P)
    return qkv + row[:, None] * (3 * D) + channel[None, :], row, origin


def fitting(configs, arguments, R, **_):
    """Of the shapes of a program's work, those that a context of R rows has room for."""
    return [config for config in configs if max(config.kwargs["ROWS"], config.kwargs["STEP"]) <= R] or [triton.Config({"ROWS": R, "STEP": R}, num_warps=4)]


# Rows of a program, and rows that it meets at a time: the fastest is found out on the machine.
tuned = triton.autotune(
    [triton.Config({"ROWS": rows, "STEP": step}, num_warps=warps, num_stages=stages) for rows, step, warps, stages in
     [(64, 64, 4, 1), (64, 64, 4, 2), (128, 64, 4, 1), (128, 64, 8, 2), (128, 128, 8, 1)]],
    key=["P", "R", "D", "W"], prune_configs_by={"early_config_prune": fitting})


@tuned
@triton.jit
def forward_kernel(qkv, out, norms, count, length, scale, P: tl.constexpr, R: tl.constexpr, D: tl.constexpr, W: tl.constexpr, ROWS: tl.constexpr, STEP: tl.constexpr):
    patch, head, first = tl.program_id(0), tl.program_id(1), tl.program_id(2) * ROWS
    channel = head * W + tl.arange(0, W)
    at, row, origin = block_of_rows(qkv, first, patch, count, length, channel, P, D, ROWS)
    q = tl.load(at)
    latest = tl.max(origin)
    top = tl.full((ROWS,), -1e30, tl.float32)
    total = tl.zeros((ROWS,), tl.float32)
    sum = tl.zeros((ROWS, W), tl.float32)
    for other in range(0, R, STEP):
        source, _, earlier = block_of_rows(qkv, other, patch, count, length, channel, P, D, STEP)
        if latest >= tl.min(earlier):
            scores = tl.dot(q, tl.trans(tl.load(source + D))) * scale
            scores = tl.where(origin[:, None] >= earlier[None, :], scores, -1e30)
            peak = tl.maximum(top, tl.max(scores, 1))
            p = tl.where(origin[:, None] >= earlier[None, :], tl.exp(scores - peak[:, None]), 0.0)
            shrink = tl.exp(top - peak)
            total = total * shrink + tl.sum(p, 1)
            v = tl.load(source + 2 * D)
            sum = sum * shrink[:, None] + tl.dot(p.to(v.dtype), v)
            top = peak
    tl.store(out + row[:, None] * D + channel[None, :], (sum / total[:, None]).to(q.dtype))
    tl.store(norms + row * (D // W) + head, top + tl.log(total))


@tuned
@triton.jit
def backward_query_kernel(qkv, grad, norms, delta, out, count, length, scale, P: tl.constexpr, R: tl.constexpr, D: tl.constexpr, W: tl.constexpr, ROWS: tl.constexpr, STEP: tl.constexpr):
    patch, head, first = tl.program_id(0), tl.program_id(1), tl.program_id(2) * ROWS
    channel = head * W + tl.arange(0, W)
    at, row, origin = block_of_rows(qkv, first, patch, count, length, channel, P, D, ROWS)
    q = tl.load(at)
    do = tl.load(grad + row[:, None] * D + channel[None, :])
    norm = tl.load(norms + row * (D // W) + head)
    mean = tl.load(delta + row * (D // W) + head)
    latest = tl.max(origin)
    dq = tl.zeros((ROWS, W), tl.float32)
    for other in range(0, R, STEP):
        source, _, earlier = block_of_rows(qkv, other, patch, count, length, channel, P, D, STEP)
        if latest >= tl.min(earlier):
            k = tl.load(source + D)
            p = tl.exp(tl.dot(q, tl.trans(k)) * scale - norm[:, None])
            p = tl.where(origin[:, None] >= earlier[None, :], p, 0.0)
            ds = p * (tl.dot(do, tl.trans(tl.load(source + 2 * D))) - mean[:, None]) * scale
            dq += tl.dot(ds.to(k.dtype), k)
    tl.store(out + row[:, None] * (3 * D) + channel[None, :], dq.to(q.dtype))


@tuned
@triton.jit
def backward_key_kernel(qkv, grad, norms, delta, out, count, length, scale, P: tl.constexpr, R: tl.constexpr, D: tl.constexpr, W: tl.constexpr, ROWS: tl.constexpr, STEP: tl.constexpr):
    patch, head, first = tl.program_id(0), tl.program_id(1), tl.program_id(2) * ROWS
    channel = head * W + tl.arange(0, W)
    at, row, origin = block_of_rows(qkv, first, patch, count, length, channel, P, D, ROWS)
    k = tl.load(at + D)
    v = tl.load(at + 2 * D)
    earliest = tl.min(origin)
    dk = tl.zeros((ROWS, W), tl.float32)
    dv = tl.zeros((ROWS, W), tl.float32)
    for other in range(0, R, STEP):
        source, asking, later = block_of_rows(qkv, other, patch, count, length, channel, P, D, STEP)
        if tl.max(later) >= earliest:
            q = tl.load(source)
            do = tl.load(grad + asking[:, None] * D + channel[None, :])
            p = tl.exp(tl.dot(q, tl.trans(k)) * scale - tl.load(norms + asking * (D // W) + head)[:, None])
            p = tl.where(later[:, None] >= origin[None, :], p, 0.0)
            dv += tl.dot(tl.trans(p.to(do.dtype)), do)
            ds = p * (tl.dot(do, tl.trans(v)) - tl.load(delta + asking * (D // W) + head)[:, None]) * scale
            dk += tl.dot(tl.trans(ds.to(q.dtype)), q)
    at = out + row[:, None] * (3 * D) + channel[None, :]
    tl.store(at + D, dk.to(k.dtype))
    tl.store(at + 2 * D, dv.to(v.dtype))


def launch(kernel, qkv, *tensors, heads, patch_size, length, delegates):
    D = qkv.shape[1] // 3
    count = len(qkv) // (2 if delegates else 1)
    R = 2 * patch_size if delegates else patch_size
    kernel[lambda chosen: (count // patch_size, heads, R // chosen["ROWS"])](
        qkv, *tensors, count, length, (D // heads) ** -0.5, P=patch_size, R=R, D=D, W=D // heads)


class PatchAttention(torch.autograd.Function):
    """`attend` of attention.py. Patch size and head size are powers of two, of at least 16."""

    @staticmethod
    def forward(context, qkv, heads, patch_size, length, delegates):
        qkv = qkv.contiguous()
        out = torch.empty(len(qkv), qkv.shape[1] // 3, dtype=qkv.dtype, device=qkv.device)
        norms = torch.empty(len(qkv), heads, device=qkv.device)
        context.shape = dict(heads=heads, patch_size=patch_size, length=length, delegates=delegates)
        launch(forward_kernel, qkv, out, norms, **context.shape)
        context.save_for_backward(qkv, out, norms)
        return out

    @staticmethod
    def backward(context, grad):
        qkv, out, norms = context.saved_tensors
        grad = grad.contiguous()
        delta = (grad.float() * out.float()).unflatten(1, (context.shape["heads"], -1)).sum(2)
        result = torch.empty_like(qkv)
        launch(backward_query_kernel, qkv, grad, norms, delta, result, **context.shape)
        launch(backward_key_kernel, qkv, grad, norms, delta, result, **context.shape)
        return result, None, None, None, None
