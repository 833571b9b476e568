"""The part of tools/bench that measures every kind of mixer: `forward` on a model of that kind, how near its mixers
come to the rate of matrix products, and PyTorch running the plain formula (torch_mixers.py)."""
import json
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from reference_mixers import complete  # fields with their defaults

LAYERS, HEADS, PATCH, KERNEL = 4, 4, 256, 3
# As `model init --mixers` has them. Patches have as many rows as windows see: the yardstick of windows.
KINDS = {"monte-carlo": "m", "sliding-window": "w:256", "transformer-xl": "x:256+256", "linear-attention": "l",
         "retention": "r", "transnormer": "t", "rwkv6": "r6", "rwkv7": "r7", "s4d": "d:64", "mamba": "s:16",
         "mamba2": "m2:64"}
ROW_BY_ROW = {"linear-attention", "retention", "transnormer", "rwkv6", "rwkv7", "mamba", "mamba2"}  # in PyTorch
TOKENS = {64: 131_072, 256: 32_768}
SHORT_TOKENS = {64: 4_096, 256: 2_048}
# Of PyTorch: in a long sequence a token takes as long.
TORCH_TOKENS, TORCH_ROWS = 2_048, 512
# Stages of a run that are a mixer's; the others are feed-forward, embedding, head, pages.
STAGES = ("project", "scan", "mix", "hosts")


def products(mixer, D):
    """Floating-point operations of the products that a token takes in one layer: projections, and the chunked form of
    the kind over C rows. A row of a chunk meets (C + 1) / 2 of its rows. Nothing else is counted: no norm, no
    exponential, no convolution, no gate."""
    if mixer["kind"] == "monte-carlo":
        # Projections of 2P rows for P tokens; each of them sees half of 2P.
        return 2 * D * (6 * D + D) + 2 * PATCH * 4 * D
    f = complete(mixer, D)
    heads = f.get("num_heads")

    def chunked(keys, values, rows, queries_times_keys=heads):
        """States taken in and read; scores; their sums of values."""
        return heads * (4 * keys * values + (rows + 1) * values) + queries_times_keys * (rows + 1) * keys

    match mixer["kind"]:
        case "sliding-window":
            inner, keys = heads * f["head_dim"], f["num_kv_heads"] * f["head_dim"]
            return 2 * D * (2 * inner + 2 * keys) + 4 * inner * (f["window"] + 1)
        case "transformer-xl":
            inner = heads * f["head_dim"]
            # Scores by key and by distance, and sums of values.
            return 2 * D * 4 * inner + 6 * inner * (f["memory"] + (f["segment"] + 1) / 2)
        case "linear-attention" | "retention":
            keys, values = f["head_k_dim"], f["head_v_dim"]
            of_values = 3 if mixer["kind"] == "retention" else 2
            return 2 * D * heads * (2 * keys + of_values * values) + chunked(keys, values, 64 if keys < 48 else 128)
        case "transnormer":
            size = f["head_dim"]
            keys = 2 * size if f["lrpe"] else size
            return 2 * D * heads * 5 * size + chunked(keys, size, 64 if keys < 48 else 128)
        case "mamba2":
            E, G = heads * f["head_dim"], f["groups"]
            return 2 * D * (3 * E + 2 * G * f["state"] + heads) + chunked(f["state"], f["head_dim"], 64, G)
        case "rwkv6":
            maps = 2 * D * 2 * (5 * f["mix_rank"] + f["decay_rank"])
            return 2 * D * 5 * D + maps + chunked(D // heads, D // heads, 16)
        case "rwkv7":
            # The state also gives up what it says of a direction: four kinds of scores, three sums by them.
            ranks = sum(f[name + "_rank"] for name in ("decay", "rate", "gate", *([] if f["first"] else ["value"])))
            return 2 * D * 4 * D + 2 * D * 2 * ranks + D * (8 * D // heads + 7 * 17)
        case "s4d":
            # Every feature by itself: N values taken in and read, and rows among themselves.
            return 2 * D * 2 * D + D * (4 * f["state"] + 17)
        case "mamba":
            # No product takes rows together: every state of every row fades, takes in and is read.
            E, N, R = f["expand"] * D, f["state"], f["dt_rank"]
            return 2 * D * 3 * E + 2 * E * (2 * R + 2 * N) + 6 * E * N


def product_rate(bench, width, short):
    """FLOP/s of the engine's matrix products of this width, all threads at once."""
    only = f"--only=product f32, 48 rows, {width} to {3 * width}"
    copies = [subprocess.Popen([str(bench.microbench), only, *["--short"] * short], stdout=subprocess.PIPE)
              for _ in range(bench.threads)]
    return sum(json.loads(copy.communicate()[0])["measurements"][0]["value"] for copy in copies) * 1e9


def one(bench, width, kind, tokens, short):
    """One round of one kind."""
    model = bench.made(f"model-{kind}-{width}", "--hidden-size", width, "--layers", LAYERS, "--heads", HEADS,
                       "--patch-size", PATCH, "--kernel-size", KERNEL, "--mixers", f"{LAYERS}*{KINDS[kind]}")
    config = json.loads((model / "config.json").read_text())
    mixers = config.get("mixers", LAYERS * [{"kind": "monte-carlo"}])
    operations = sum(products(mixer, width) for mixer in mixers) / LAYERS
    rate = product_rate(bench, width, short)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = bench.forward(model, tokens, "4GiB")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Shares of the cores' time that the run got: what others take of a shared machine is no part of it, as it is none
    # of a product's rate, the median of short measurements. The preparation of weights is shared out too.
    cores = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    passes = sum(layer["seconds"] for layer in done["layers"])
    seconds = cores / passes * sum(
        layer["seconds"] * layer["stages"].get(stage, 0) for layer in done["layers"] for stage in STAGES)
    count = (TORCH_ROWS if kind in ROW_BY_ROW else TORCH_TOKENS) // (16 if short else 1)
    torch = bench.torch_rate(model, tokens, count, "plain", "--warm-up", min(count, 256))
    return {"tokens_per_second": done["tokens_per_second"], "operations": operations,
            "mixer_seconds": seconds / (tokens * LAYERS),  # of a core, a token and layer
            "product_flops_per_second": rate, "torch": torch}


def check(bench):
    """PyTorch's mixers against the fixtures, and the cases of the folder that BBP_MIXER_CASES names."""
    folders = [ROOT / "Tests/Fixtures/mixers", *map(Path, filter(None, [os.environ.get("BBP_MIXER_CASES")]))]
    cases = [case for folder in folders for case in sorted(folder.iterdir()) if (case / "u.npy").exists()]
    bench.run(sys.executable, ROOT / "tools/benchmark/torch_mixers.py", "check", *cases)


def measure(bench, widths, rounds, short):
    if bench.has_torch:
        check(bench)
    found = {width: {kind: [] for kind in KINDS} for width in widths}
    for _ in range(rounds):
        for width in widths:
            for kind in KINDS:
                found[width][kind].append(one(bench, width, kind, (SHORT_TOKENS if short else TOKENS)[width], short))
    return {"tokens": SHORT_TOKENS if short else TOKENS, "rounds": found}


def table(found, threads):
    out = []
    for width, kinds in found["rounds"].items():
        def median(kind, value):
            numbers = [value(one) for one in kinds[kind] if value(one) is not None]
            return statistics.median(numbers) if numbers else None

        # One measurement is short: the median of all.
        rate = statistics.median(one["product_flops_per_second"] for rounds in kinds.values() for one in rounds)
        out += [f"mixers, D {width}, {LAYERS} layers, {threads} threads, {found['tokens'][width]:,} tokens: medians of "
                f"{len(next(iter(kinds.values())))}; products {rate / 1e9:.0f} GFLOP/s",
                "                       tokens/s   ns of a core for   kFLOP of   share of the       PyTorch,"
                "   times as",
                "                              a token and layer   products  products' rate  plain formula"
                "       fast"]
        for kind in kinds:
            torch = median(kind, lambda one: one["torch"])
            beside = median(kind, lambda one: one["tokens_per_second"] / one["torch"] if one["torch"] else None)
            out.append(
                f"  {kind:16s} {median(kind, lambda one: one['tokens_per_second']):>12,.0f} "
                f"{median(kind, lambda one: one['mixer_seconds']) * 1e9:>18,.0f} "
                f"{median(kind, lambda one: one['operations']) / 1e3:>10,.1f} "
                f"{100 * threads / rate * median(kind, lambda one: one['operations'] / one['mixer_seconds']):>13.0f} % "
                + (f"{torch:>14,.0f} {beside:>10,.1f}" if torch else f"{'-':>14} {'-':>10}"))
        out.append("")
    return out
