#!/usr/bin/env python3
"""Trains a model and writes a model directory.

    tools/train/train.py tools/train/configs/base.json --corpus .corpus --minutes 20 --out DIR
    tools/train/train.py ... --stop-after 9.5            leaves DIR/state.pt; the same command goes on from it

DIR gets config.json and model.safetensors (bf16 weights), curve.json (loss and held-out bits per byte on the way) and
state.pt (everything, to go on). Held-out files are only ever scored. Lengths of sequences vary from step to step, the
tokens of a step do not.
"""
import argparse
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import torch

import checkpoint
from data import Corpus, document
from model import Config, Proton, bits_of, surprisal
from muon import Muon

# Tokens of a sequence, and how often. At least one patch of the widest model, at most what a step holds.
LENGTHS = {1 << 12: 0.2, 1 << 14: 0.25, 1 << 16: 0.3, 1 << 18: 0.25}
WARM_UP = 0.01


def optimizers(model, lr):
    """Muon for the blocks' matrices, AdamW for the rest."""
    matrices = {name: parameter for name, parameter in model.blocks.named_parameters() if parameter.dim() == 2}
    rest = [parameter for name, parameter in model.named_parameters() if name.removeprefix("blocks.") not in matrices]
    muon = Muon([
        {"params": [parameter for name, parameter in matrices.items() if name.endswith("qkv")], "parts": 3},
        {"params": [parameter for name, parameter in matrices.items() if not name.endswith("qkv")]},
    ], lr=lr)
    return [muon, torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.98), weight_decay=0.0)]


def rate(done, decay):
    """Warm-up, a plateau, and a straight way down to nothing over the last `decay` of the run. done 0...1 -> 0...1"""
    return min(1.0, done / WARM_UP, max(0.0, 1 - done) / decay)


def held_out(model, corpus, most, device):
    """Bits per byte of every held-out file's first `most` bytes, each alone."""
    found = {}
    model.eval()
    for name, path in corpus.held_out.items():
        tokens = document(path, most).to(device)
        bits, n = surprisal(model, tokens), len(np.fromfile(path, np.uint8)[:most])
        found[name] = float(bits[1 : n + 1].mean())
    model.train()
    return found


def by_kind(bits):
    kinds = {}
    for name, value in bits.items():
        kinds.setdefault(name.split("/")[0], []).append(value)
    return {kind: sum(values) / len(values) for kind, values in kinds.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="the fields of config.json")
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=JSON", help="other values for fields of the configuration")
    parser.add_argument("--corpus", default=".corpus")
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, default=20, help="of training altogether")
    parser.add_argument("--steps", type=int, help="of training altogether, in place of a time")
    parser.add_argument("--stop-after", type=float, default=math.inf, metavar="MINUTES", help="leave the rest to the next call")
    parser.add_argument("--step-tokens", type=int, default=1 << 18)
    parser.add_argument("--longest", type=int, default=1 << 18, help="tokens of the longest sequences")
    parser.add_argument("--lr", type=float, default=4e-3)
    parser.add_argument("--decay", type=float, default=0.6, help="share of the run in which the learning rate falls")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--held-out-every", type=float, default=2.0, metavar="MINUTES")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--without-delegates", action="store_true", help="to compare with: attention among a patch's own tokens alone")
    arguments = parser.parse_args()

    started = time.monotonic()
    out, device = Path(arguments.out), arguments.device
    out.mkdir(parents=True, exist_ok=True)
    fields = json.loads(Path(arguments.config).read_text())
    fields |= {name: json.loads(value) for name, value in (pair.split("=", 1) for pair in arguments.set)}
    torch.manual_seed(arguments.seed)
    torch.set_float32_matmul_precision("high")
    model = Proton(Config(**fields, delegates=not arguments.without_delegates)).to(device)
    both = optimizers(model, arguments.lr)
    state = {"step": 0, "seconds": 0.0, "curve": []}
    if (out / "state.pt").exists():
        state = torch.load(out / "state.pt", map_location=device, weights_only=True)
        model.load_state_dict(state.pop("model"))
        for optimizer, saved in zip(both, state.pop("optimizers")):
            optimizer.load_state_dict(saved)
    if device != "cpu":
        model.dtype = torch.bfloat16
        model.compile()
    corpus = Corpus(arguments.corpus, device)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{out.name}: {parameters:,} parameters; corpus of {sum(map(len, corpus.tokens.values())):,} tokens, read in {time.monotonic() - started:.0f} s", flush=True)

    lengths = np.array([length for length in LENGTHS if length <= min(arguments.longest, arguments.step_tokens)])
    shares = np.array([LENGTHS[length] for length in lengths])
    losses, told, scored, halted = [], 0.0, 0.0, 60 * arguments.stop_after

    def done():
        """The share of the run that lies behind."""
        return state["step"] / arguments.steps if arguments.steps else state["seconds"] / (60 * arguments.minutes)

    def train(step):
        random = np.random.default_rng([arguments.seed, step])
        tokens = corpus.batch(arguments.step_tokens, int(random.choice(lengths, p=shares / shares.sum())), random)
        loss = bits_of(model, tokens).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in both:
            for group in optimizer.param_groups:
                group["lr"] = arguments.lr * rate(done(), arguments.decay)
            optimizer.step()
            optimizer.zero_grad()
        return loss.detach()

    def score(most):
        bits = held_out(model, corpus, most, device)
        kinds = by_kind(bits)
        mean = sum(kinds.values()) / len(kinds) if kinds else float("nan")
        state["curve"].append({"step": state["step"], "seconds": state["seconds"], "held_out": kinds})
        print(f"{out.name}: held out {mean:.4f}  " + "  ".join(f"{kind} {value:.3f}" for kind, value in kinds.items()), flush=True)
        return bits

    # Compilation takes no training time: the first step is taken before the clock starts.
    begin = None
    while done() < 1:
        losses.append(train(state["step"]))
        state["step"] += 1
        if begin is None:
            float(losses[0])
            begin, before = time.monotonic(), state["seconds"]
            told = scored = before
            print(f"{out.name}: first step after {begin - started:.0f} s", flush=True)
        now = time.monotonic()
        state["seconds"] = before + now - begin
        if now - started > halted:
            break
        if state["step"] % 10:
            continue
        loss = float(torch.stack(losses).mean())  # waits for the device
        if state["seconds"] - told > 15:
            rate_now = len(losses) * arguments.step_tokens / (state["seconds"] - told)
            print(f"{out.name}: {state['seconds']:.0f} s, step {state['step']}, {loss:.4f} bits, {rate_now:,.0f} tokens/s", flush=True)
            state["curve"].append({"step": state["step"], "seconds": state["seconds"], "loss": loss})
            losses, told = [], state["seconds"]
        if state["seconds"] - scored > 60 * arguments.held_out_every:
            score(1 << 17)
            begin += time.monotonic() - now
            scored = state["seconds"]
    finished = done() >= 1
    if finished:
        files = score(1 << 20)
        state["curve"][-1]["files"] = files
        for name, value in files.items():
            print(f"{out.name}: {name} {value:.4f}")
    if device != "cpu":
        print(f"{out.name}: {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB of GPU memory", flush=True)
    torch.save({**state, "model": model.state_dict(), "optimizers": [optimizer.state_dict() for optimizer in both]}, out / "state.partial")
    os.replace(out / "state.partial", out / "state.pt")
    (out / "curve.json").write_text(json.dumps({"config": fields, "parameters": parameters, "command": vars(arguments), "curve": state["curve"]}, indent=1))
    if model.config.delegates:
        checkpoint.save(model, out)
    print(f"{out.name}: {'finished' if finished else 'stopped'} at step {state['step']}, {state['step'] * arguments.step_tokens:,} tokens", flush=True)


if __name__ == "__main__":
    main()
