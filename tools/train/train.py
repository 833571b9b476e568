#!/usr/bin/env python3
"""Trains a model and writes a model directory.

    tools/train/train.py tools/train/configs/base.json --corpus .corpus --minutes 20 --out DIR
    tools/train/train.py ... --stop-after 9.5                     leaves DIR/state.pt; the same command goes on from it
    torchrun --nproc-per-node 4 tools/train/train.py ...          the same on four GPUs

DIR gets config.json and model.safetensors (bf16 weights), curve.json (loss and held-out bits per byte on the way) and
state.pt (everything, to go on). Held-out files are only ever scored. Lengths of sequences vary from step to step.
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
from group import Group
from model import Config, Proton, bits_of, surprisal
from muon import Muon

WARM_UP = 0.01  # share of a run
TELL_EVERY = 15  # seconds
LENGTHS = ["4096:0.1", "16384:0.2", "65536:0.4", "262144:0.3"]
AGREE_EVERY = 10  # steps: between them nobody waits for the clock or the device


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


class Training:
    def __init__(self, arguments):
        self.started = time.monotonic()
        self.arguments = arguments
        self.group = Group(arguments.device)
        self.out = Path(arguments.out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.fields = json.loads(Path(arguments.config).read_text())
        self.fields |= {name: json.loads(value) for name, value in (pair.split("=", 1) for pair in arguments.set)}
        torch.manual_seed(arguments.seed)
        torch.set_float32_matmul_precision("high")
        self.model = Proton(Config(**self.fields, delegates=not arguments.without_delegates)).to(self.group.device)
        if arguments.start_from:
            self.model.load_state_dict(checkpoint.load(arguments.start_from).state_dict())
        for tokens, patch_size, _ in arguments.lengths:
            for P in [patch_size] if patch_size else [self.model.config.patch_size, *(P for _, P in arguments.patches)]:
                if tokens % P:
                    raise SystemExit(f"--lengths: sequences of {tokens} tokens are no whole number of patches of {P}")
        self.optimizers = optimizers(self.model, arguments.lr)
        self.step, self.tokens, self.seconds, self.curve = 0, 0, 0.0, []
        if (self.out / "state.pt").exists():
            self.restore()
        if arguments.device != "cpu":
            self.model.dtype = torch.bfloat16
            self.model.compile()
        self.corpus = Corpus(arguments.corpus)
        tokens = sum(map(len, self.corpus.tokens.values()))
        self.parameters = sum(parameter.numel() for parameter in self.model.parameters())
        self.say(f"{self.parameters:,} parameters; corpus of {tokens:,} tokens, read in {self.elapsed():.0f} s")

    def say(self, text):
        if self.group.leads:
            print(f"{self.out.name}: {text}", flush=True)

    def elapsed(self):
        return time.monotonic() - self.started

    def done(self):
        """The share of the run that lies behind."""
        return self.step / self.arguments.steps if self.arguments.steps else self.seconds / (60 * self.arguments.minutes)

    # One step

    def batch(self):
        """This process's sequences of a step, the position that they begin at, and their patches' length."""
        arguments = self.arguments
        random = np.random.default_rng([arguments.seed, self.step])
        chances = np.array([chance for _, _, chance in arguments.lengths])
        length, patch_size, _ = arguments.lengths[int(random.choice(len(chances), p=chances / chances.sum()))]
        if patch_size is None:
            patch_size = next((P for share, P in arguments.patches if self.done() < share), self.model.config.patch_size)
        share = max(arguments.step_tokens // self.group.size, length)
        # Sequences stand anywhere in a longer one half the time, so that no position is new to the model.
        start = int(random.integers(0, 1 << 30)) if self.model.config.positional_encoding != "none" and random.random() < 0.5 else 0
        tokens = self.corpus.batch(share, length, np.random.default_rng([arguments.seed, self.step, self.group.rank]))
        if arguments.device != "cpu":
            tokens = tokens.pin_memory().to(self.group.device, non_blocking=True)
        self.tokens += tokens.numel() * self.group.size
        return tokens.long(), start, patch_size

    def train(self):
        """-> the step's loss, on the device"""
        tokens, start, self.model.patch_size = self.batch()
        loss = bits_of(self.model, tokens, start).mean()
        loss.backward()
        self.group.average([parameter.grad for parameter in self.model.parameters()])
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.arguments.lr * rate(self.done(), self.arguments.decay)
            optimizer.step()
            optimizer.zero_grad()
        self.step += 1
        return loss.detach()

    # The run

    def run(self):
        losses, before, stops = [self.train()], self.seconds, False
        float(losses[0])
        # Compiling for the first shape takes no training time; for every later one it does.
        begin = time.monotonic()
        told, scored, tokens = before, before, self.tokens
        self.say(f"first step after {self.elapsed():.0f} s")
        while self.done() < 1 and not stops:
            losses.append(self.train())
            if self.step % AGREE_EVERY:
                continue
            loss = float(torch.stack(losses).mean())  # waits for the device
            self.seconds, stops = self.group.agree(before + time.monotonic() - begin, self.elapsed() > 60 * self.arguments.stop_after)
            if self.seconds - told > TELL_EVERY:
                speed = (self.tokens - tokens) / (self.seconds - told)
                self.say(f"{self.seconds:.0f} s, step {self.step}, {loss:.4f} bits, {speed:,.0f} tokens/s")
                self.curve.append({"step": self.step, "tokens": self.tokens, "seconds": self.seconds, "loss": loss})
                losses, told, tokens = [], self.seconds, self.tokens
            if self.seconds - scored > 60 * self.arguments.held_out_every:
                pause = time.monotonic()
                self.score(1 << 17)
                if self.group.leads:
                    self.save()
                begin += time.monotonic() - pause
                scored = self.seconds
        if self.group.leads:
            # First what cannot be made again.
            self.save()
            if self.done() >= 1:
                self.score(None)
                self.save()
        if self.arguments.device != "cpu":
            self.say(f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB of GPU memory")
        self.say(f"{'finished' if self.done() >= 1 else 'stopped'} at step {self.step}, {self.tokens:,} tokens")
        self.group.close()

    def score(self, most):
        """Bits per byte of every held-out file's first `most` bytes (None: of all), each alone."""
        if not self.group.leads:
            return
        self.model.eval()
        self.model.patch_size = self.model.config.patch_size
        files, kinds = {}, {}
        for name, path in self.corpus.held_out.items():
            tokens = document(path, most)
            bits = surprisal(self.model, tokens.to(self.group.device))
            files[name] = float(bits[1:][tokens[1:].to(bits.device) < 256].mean())
            kinds.setdefault(name.split("/")[0], []).append(files[name])
        self.model.train()
        kinds = {kind: sum(values) / len(values) for kind, values in kinds.items()}
        self.curve.append({"step": self.step, "seconds": self.seconds, "held_out": kinds})
        self.say(f"held out {sum(kinds.values()) / len(kinds):.4f}  " + "  ".join(f"{kind} {value:.3f}" for kind, value in kinds.items()))
        if most is None:
            self.curve[-1]["files"] = files
            self.say("  ".join(f"{name} {value:.3f}" for name, value in files.items()))

    # What stays

    def save(self):
        state = {"step": self.step, "tokens": self.tokens, "seconds": self.seconds, "curve": self.curve, "model": self.model.state_dict()}
        state["optimizers"] = [optimizer.state_dict() for optimizer in self.optimizers]
        torch.save(state, self.out / "state.partial")
        os.replace(self.out / "state.partial", self.out / "state.pt")
        record = {"config": self.fields, "parameters": self.parameters, "command": vars(self.arguments), "processes": self.group.size, "curve": self.curve}
        (self.out / "curve.json").write_text(json.dumps(record, indent=1))
        if self.model.config.delegates:
            checkpoint.save(self.model, self.out)

    def restore(self):
        state = torch.load(self.out / "state.pt", map_location=self.group.device, weights_only=True)
        self.step, self.tokens, self.seconds, self.curve = (state[name] for name in ("step", "tokens", "seconds", "curve"))
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"]):
            optimizer.load_state_dict(saved)


def lengths(text):
    """TOKENS:CHANCE or TOKENS/P:CHANCE -> tokens, patch size or None, chance"""
    sizes, chance = text.split(":")
    tokens, *patch_size = map(int, sizes.split("/"))
    chance = float(chance)
    if tokens < 1 or len(patch_size) > 1 or min(patch_size, default=1) < 1 or chance < 0:
        raise ValueError(text)
    return tokens, patch_size[0] if patch_size else None, chance


def patches(text):
    """SHARE:P -> share, patch size"""
    share, patch_size = text.split(":")
    return float(share), int(patch_size)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="the fields of config.json")
    parser.add_argument("--start-from", metavar="DIR", help="a model directory whose weights are trained on")
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=JSON", help="other values for fields of the configuration")
    parser.add_argument("--corpus", default=".corpus")
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, default=20, help="of training altogether")
    parser.add_argument("--steps", type=int, help="of training altogether, in place of a time")
    parser.add_argument("--stop-after", type=float, default=math.inf, metavar="MINUTES", help="leave the rest to the next call")
    parser.add_argument("--step-tokens", type=int, default=1 << 18, help="of all processes; more in steps whose sequences are longer than a process's share")
    parser.add_argument("--lengths", nargs="+", type=lengths, default=list(map(lengths, LENGTHS)), metavar="TOKENS[/P]:CHANCE",
                        help=f"of sequences, whole numbers of patches (default: {' '.join(LENGTHS)}); P tokens in a patch of these steps: "
                             "in short patches delegates meet as they do in far longer sequences, for less")
    parser.add_argument("--patches", nargs="*", type=patches, default=[], metavar="SHARE:P",
                        help="until this share of the run lies behind, patches of P tokens: shorter ones cost less, and what is near is learned first")
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--decay", type=float, default=0.6, help="share of the run in which the learning rate falls")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--held-out-every", type=float, default=2.5, metavar="MINUTES")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--without-delegates", action="store_true", help="to compare with: attention among a patch's own tokens alone")
    Training(parser.parse_args()).run()


if __name__ == "__main__":
    main()
