"""The measurements of tools/bench: the engine, its mixers, its kernels and its pages, beside PyTorch and blosc2, in one
run."""
import argparse
import datetime
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import mixers

ROOT = Path(__file__).resolve().parents[2]
PROGRAM, MICROBENCH = "bbp-stream", "microbench"  # with the folder they were built in, once that is known
LAYERS, HEADS, PATCH, KERNEL = 6, 4, 32, 33
# Tokens: for PyTorch and the engine side by side, and for the engine in memory and out of core.
LENGTHS = {64: (131_072, 8_388_608), 256: (32_768, 1_048_576)}
SHORT_LENGTHS = {64: (4_096, 16_384), 256: (2_048, 4_096)}


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if done.returncode:
        sys.exit(f"bench: {' '.join(map(str, command))} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def text(path, tokens):
    """Bytes of the repository's data sets, in pieces that take turns, so that long files do not simply repeat."""
    sources = [(ROOT / "datasets" / name).read_bytes() for name in ("opticks.txt", "stb.c", "ecoli536.fna")]
    with open(path, "wb") as file:
        piece, turn = 65_536, 0
        while file.tell() < tokens:
            source = sources[turn % len(sources)]
            first = turn * 40_503 % (len(source) - piece)
            file.write(source[first : first + min(piece, tokens - file.tell())])
            turn += 1


class Bench:
    def __init__(self, folder, threads):
        self.folder, self.threads = Path(folder), threads

        self.run, self.microbench = run, MICROBENCH
        self.has_torch = subprocess.run([sys.executable, "-c", "import torch"], capture_output=True).returncode == 0

    def made(self, name, *flags):
        """A model, made the first time that it is asked for."""
        path = self.folder / name
        if not path.exists():
            run(PROGRAM, "model", "init", path, *flags)
        return path

    def model(self, width):
        return self.made(f"model-{width}", "--hidden-size", width, "--intermediate-size", 2 * width, "--layers", LAYERS,
                         "--heads", HEADS, "--patch-size", PATCH, "--kernel-size", KERNEL)

    def store(self, tokens):
        data, store = self.folder / f"text-{tokens}", self.folder / f"store-{tokens}"
        if not store.exists():
            text(data, tokens)
            run(PROGRAM, "ingest", data, "--raw", "--store", store)
        return data, store

    def forward(self, model, tokens, memory, *flags):
        _, store = self.store(tokens)
        return json.loads(run(PROGRAM, "forward", "--store", store, "--model", model, "--memory", memory, "--threads",
                              self.threads, "--restart", "--progress", "none", "--json", *flags))

    def engine(self, width, tokens, memory, *flags):
        return self.forward(self.model(width), tokens, memory, *flags)

    def torch_rate(self, model, tokens, count, attention, *flags):
        """Tokens a second over the first `count` of `tokens`, or None where PyTorch is missing."""
        data, _ = self.store(tokens)
        if not self.has_torch:
            return None
        return json.loads(run(sys.executable, ROOT / "tools/benchmark/torch_model.py", "time", model, data, "--tokens",
                              count, "--threads", self.threads, "--attention", attention, *flags))["tokens_per_second"]

    def torch(self, width, tokens, attention, dtype="f32"):
        return self.torch_rate(self.model(width), tokens, tokens, attention, "--dtype", dtype)


def least_memory(bench, width, tokens):
    """The least budget that the engine takes, in bytes."""
    _, store = bench.store(tokens)
    done = subprocess.run([PROGRAM, "forward", "--store", store, "--model", bench.model(width), "--memory", "1MiB", "--restart", "--dry-run"],
                          capture_output=True, text=True)
    words = done.stderr.split("the least that works here is ")
    return int(words[1].split("MiB")[0]) << 20 if len(words) > 1 else 0


def side_by_side(bench, width, lengths, rounds):
    """The engine and PyTorch in turns; medians, and medians of the ratios within a round."""
    short, long = lengths
    states = long * width * 2
    budget = max(states // 10, least_memory(bench, width, long) + (2 << 20))
    found = {"width": width, "tokens_short": short, "tokens_long": long, "budget_out_of_core": budget, "states_bytes": states, "rounds": []}
    for _ in range(rounds):
        one = {
            "torch_plain": bench.torch(width, short, "plain"),
            "engine_short": bench.engine(width, short, "8GiB"),
            "torch_fused": bench.torch(width, short, "fused"),
            "torch_bf16": bench.torch(width, short, "fused", "bf16"),
            "engine_bf16": bench.engine(width, short, "8GiB", "--compute", "bf16"),
            "engine_long": bench.engine(width, long, "12GiB"),
            "engine_out_of_core": bench.engine(width, long, budget),
        }
        found["rounds"].append(one)
    def rate(one, name):
        value = one[name]
        return value["tokens_per_second"] if isinstance(value, dict) else value
    def median(numbers):
        numbers = [number for number in numbers if number is not None]
        return statistics.median(numbers) if numbers else None
    found["tokens_per_second"] = {name: median(rate(one, name) for one in found["rounds"]) for name in found["rounds"][0]}
    found["ratio"] = {
        f"{engine} / {torch}": median(rate(one, engine) / rate(one, torch) if rate(one, torch) else None for one in found["rounds"])
        for engine in ("engine_short", "engine_long", "engine_out_of_core", "engine_bf16") for torch in ("torch_plain", "torch_fused", "torch_bf16")
    }
    for name in ("engine_long", "engine_out_of_core"):
        last = found["rounds"][-1][name]
        stages = {}
        for layer in last["layers"]:
            for stage, share in layer["stages"].items():
                stages[stage] = stages.get(stage, 0) + share / len(last["layers"])
        found[name] = {
            "stages": stages, "idle": statistics.mean(layer["idle"] for layer in last["layers"]),
            "waiting_for_disk": statistics.mean(layer["waiting_for_disk"] for layer in last["layers"]),
            "bounds": last["bounds"], "peak_anonymous_bytes": last["peak_anonymous_bytes"], "reads_per_layer": last["reads_per_layer"],
            "in_memory": last["window"]["in_memory"], "compute": last["compute"],
        }
    return found


def pages(bench, tokens, short):
    """Our page codec and blosc2 on the same states: one core, columns of 64 KiB."""
    import numpy as np

    _, store = bench.store(tokens)
    bench.engine(64, tokens, "8GiB")
    run(PROGRAM, "export", "--store", store, "--generation", LAYERS, "--out", bench.folder / "states.npy")
    states = np.load(bench.folder / "states.npy", mmap_mode="r")
    patches = min(len(states) // PATCH, (16 << 20) // (PATCH * 128))
    halves = (np.ascontiguousarray(states[: patches * PATCH]).view(np.uint32) >> 16).astype(np.uint16)
    columns = np.ascontiguousarray(halves.reshape(patches, PATCH, 64).transpose(1, 0, 2))
    path = bench.folder / "states.bf16"
    columns.tofile(path)
    found = {"microbench": json.loads(run(MICROBENCH, path, *["--short"] * short)), "blosc2": []}
    try:
        import blosc2
    except ImportError:
        return found
    data = columns.tobytes()
    chunks = [data[at : at + 65536] for at in range(0, len(data), 65536)]
    for name, filters, level in (("shuffle + zstd 1", [blosc2.Filter.SHUFFLE], 1), ("bitshuffle + zstd 1", [blosc2.Filter.BITSHUFFLE], 1),
                                 ("shuffle + bytedelta + zstd 1", [blosc2.Filter.SHUFFLE, blosc2.Filter.BYTEDELTA], 1),
                                 ("shuffle + zstd 3", [blosc2.Filter.SHUFFLE], 3), ("bitshuffle + lz4", [blosc2.Filter.BITSHUFFLE], 1)):
        settings = {"codec": blosc2.Codec.LZ4 if "lz4" in name else blosc2.Codec.ZSTD, "clevel": level, "typesize": 2, "filters": filters,
                    "filters_meta": [0, 2][: len(filters)] if "bytedelta" in name else [0] * len(filters), "nthreads": 1}
        best = [float("inf"), float("inf")]
        for _ in range(3):
            start = time.perf_counter()
            packed = [blosc2.compress2(chunk, **settings) for chunk in chunks]
            middle = time.perf_counter()
            for chunk in packed:
                blosc2.decompress2(chunk, nthreads=1)
            best = [min(best[0], middle - start), min(best[1], time.perf_counter() - middle)]
        found["blosc2"].append({"name": name, "ratio": len(data) / sum(map(len, packed)), "encode_gb_per_second": len(data) / best[0] / 1e9,
                                "decode_gb_per_second": len(data) / best[1] / 1e9})
    return found


def limits_of(tuned, kept):
    """What the machine does, as `tune` and the kernels by themselves have it."""
    kernels = {m["kernel"]: m["value"] for m in kept["microbench"]["measurements"]}
    return {
        "product_f32_gflops": max(value for name, value in kernels.items() if name.startswith("product f32")),
        "product_bf16_gflops": next((value for name, value in kernels.items() if name.startswith("product bf16")), None),
        "memory_gb_per_second": kernels["memory: copy of 128 MiB, read and written"],
        "disk_read_gb_per_second": tuned["read_bytes_per_second"] / 1e9, "disk_written_gb_per_second": tuned["written_bytes_per_second"] / 1e9,
    }


def table(report):
    out = [f"{report['machine']['processor']}, {report['machine']['cores']} cores, {report['machine']['kernels']}; {report['date']}; {report['command']}", ""]
    limits = report["limits"]
    if limits:
        out += ["limits of this machine", f"  f32 product, one core        {limits['product_f32_gflops']:9.1f} GFLOP/s",
                f"  bf16 product, one core       {'none here' if limits['product_bf16_gflops'] is None else limits['product_bf16_gflops']:>9}",
                f"  memory, copied               {limits['memory_gb_per_second']:9.1f} GB/s",
                f"  disk, read and written       {limits['disk_read_gb_per_second']:9.2f} {limits['disk_written_gb_per_second']:.2f} GB/s", ""]
    for one in report["widths"]:
        rates, ratios = one["tokens_per_second"], one["ratio"]
        out += [f"D {one['width']}, {LAYERS} layers, {report['machine']['threads']} threads: tokens/s, medians of {len(one['rounds'])}"]
        def line(name, tokens, key, note=""):
            if rates[key] is None:
                return
            beside = [f"{ratios[f'{key} / {torch}']:.1f} x {torch.removeprefix('torch_')}" for torch in ("torch_plain", "torch_fused", "torch_bf16")
                      if ratios.get(f"{key} / {torch}")]
            out.append(f"  {name:34s} {tokens:>10,} tokens {rates[key]:>10,.0f}  {', '.join(beside)}{note}")
        line("PyTorch, attention written out", one["tokens_short"], "torch_plain")
        line("PyTorch, fused attention", one["tokens_short"], "torch_fused")
        line("PyTorch, fused attention, bf16", one["tokens_short"], "torch_bf16")
        line("bbp-stream in memory", one["tokens_short"], "engine_short")
        line("bbp-stream in memory", one["tokens_long"], "engine_long")
        line(f"bbp-stream in {one['budget_out_of_core'] >> 20} MiB", one["tokens_long"], "engine_out_of_core")
        line("bbp-stream --compute bf16", one["tokens_short"], "engine_bf16", f"  (computed in {one['rounds'][0]['engine_bf16']['compute']})")
        for name in ("engine_long", "engine_out_of_core"):
            account = one[name]
            shares = ", ".join(f"{stage} {100 * share:.0f} %" for stage, share in sorted(account["stages"].items(), key=lambda item: -item[1]) if share > 0.005)
            bound = account["bounds"]
            held = f"; {bound['ratio']:.2f} x the greater of arithmetic {bound['arithmetic_seconds']:.1f} s and disk {bound['disk_seconds']:.1f} s" if bound else ""
            out.append(f"  {name.removeprefix('engine_').replace('_', ' ')}: {shares}; idle {100 * account['idle']:.1f} %, waiting for the disk {100 * account['waiting_for_disk']:.1f} %{held}")
        out.append("")
    out += mixers.table(report["mixers"], report["machine"]["threads"])
    if report["pages"]:
        out.append("pages of real states, bf16, one core                  ratio   encode   decode GB/s")
        kernels = {m["kernel"]: m["value"] for m in report["pages"]["microbench"]["measurements"]}
        for size in (64, 256):
            out.append(f"  bbp-stream, columns of {size:3d} KiB                      {kernels[f'pages: ratio, columns of {size} KiB']:6.3f} {kernels[f'pages: encode bf16, columns of {size} KiB']:8.2f} {kernels[f'pages: decode bf16, columns of {size} KiB']:8.2f}")
        for other in report["pages"]["blosc2"]:
            out.append(f"  blosc2 64 KiB, {other['name']:34s} {other['ratio']:6.3f} {other['encode_gb_per_second']:8.2f} {other['decode_gb_per_second']:8.2f}")
        out.append("")
        out.append("kernels, one core")
        out += [f"  {m['kernel']:62s} {m['value']:10.2f} {m['unit']}" for m in report["pages"]["microbench"]["measurements"] if not m["kernel"].startswith("pages")]
    return "\n".join(out)


def main():
    parser = argparse.ArgumentParser(prog="tools/bench", description=__doc__)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--mixers", action="store_true", help="every kind of mixer, and nothing else")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--widths", help="of the models: 64 and 256 are known; both if not given, 64 with --short")
    parser.add_argument("--built", default=ROOT / ".build/release", help="folder of the programs")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", default="bench.json")
    arguments = parser.parse_args()
    widths = [int(width) for width in (arguments.widths or ("64" if arguments.short else "64,256")).split(",")]
    if set(widths) - set(LENGTHS):
        parser.error("--widths must be 64, 256 or both")
    global PROGRAM, MICROBENCH
    PROGRAM, MICROBENCH = Path(arguments.built).resolve() / PROGRAM, Path(arguments.built).resolve() / MICROBENCH
    lengths = SHORT_LENGTHS if arguments.short else LENGTHS
    rounds = 1 if arguments.short else arguments.rounds
    folder = tempfile.mkdtemp(prefix="bbp-bench-", dir=os.environ.get("TMPDIR"))
    os.environ["XDG_CACHE_HOME"] = folder
    try:
        bench = Bench(folder, arguments.threads)
        limits = {}
        for width in widths:
            # Measured anew, for the bounds that the runs are held against.
            limits = json.loads(run(PROGRAM, "tune", "--model", bench.model(width), "--directory", folder, "--threads", arguments.threads))
        found = [] if arguments.mixers else [side_by_side(bench, width, lengths[width], rounds) for width in widths]
        kinds = mixers.measure(bench, widths, rounds, arguments.short)
        kept = None if arguments.mixers else pages(bench, lengths[64][0], arguments.short)
        report = {
            "command": "tools/bench " + " ".join(sys.argv[1:]), "date": datetime.date.today().isoformat(),
            "machine": {"processor": limits["machine"], "cores": os.cpu_count(), "threads": arguments.threads, "kernels": limits["kernels"], "system": platform.release()},
            "limits": kept and limits_of(limits, kept), "widths": found, "mixers": kinds, "pages": kept,
        }
        Path(arguments.out).write_text(json.dumps(report, indent=1))
        print(table(report))
        print(f"\neverything measured: {arguments.out}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
