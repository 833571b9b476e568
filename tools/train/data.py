#!/usr/bin/env python3
"""The corpus that make_corpus wrote, as tokens, and the sequences that a model is trained on.

    tools/train/data.py CORPUS INTO     unpacks it into another folder, for several runs to read faster

A kind's documents stand one after another, each between BOS and EOS. A sequence is cut out of them anywhere, half the time
where a document starts; a very long one is made of several cuts, of the same kind or others, as an archive of files would be. In
half of the sequences documents follow one another without EOS and BOS between them, as files do that were put together.
"""
import lzma
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from model import BOS, EOS, VOCABULARY

# Shares of the tokens that a model is trained on. What is hard and what users have most comes first.
SHARES = {"text": 0.28, "code": 0.25, "man": 0.05, "nucleotides": 0.11, "tables": 0.12, "sensor": 0.07, "other": 0.12}
LONGEST_CUTS = [1 << 17, 1 << 19, 1 << 21]  # a sequence is cut out in pieces of one of these lengths at most


class Corpus:
    def __init__(self, folder):
        folder = Path(folder)
        self.kinds = [kind for kind in SHARES if any((folder / f"{kind}.{form}").exists() for form in ("xz", "tokens.npy"))]
        if not self.kinds:
            raise SystemExit(f"{folder} holds no corpus: run tools/train/make_corpus")
        with ThreadPoolExecutor() as pool:
            parts = list(pool.map(lambda kind: tokens_of(folder, kind), self.kinds))
        self.tokens = {kind: tokens for kind, (tokens, _) in zip(self.kinds, parts)}
        self.starts = {kind: starts for kind, (_, starts) in zip(self.kinds, parts)}
        self.held_out = {path.parent.name + "/" + path.name: path for path in sorted((folder / "heldout").glob("*/*")) if path.parent.name in SHARES}

    def cut(self, kind, length, joined, random):
        """At most `length` tokens one after another; `joined`: without BOS and EOS."""
        tokens, starts = self.tokens[kind], self.starts[kind]
        first = int(random.integers(0, len(tokens)))
        place = int(np.searchsorted(starts, first, side="right")) - 1
        if random.random() < 0.5:
            first = int(starts[place])
        first = max(0, min(first, len(tokens) - length))
        part = tokens[first : first + length]
        if kind == "nucleotides" and random.random() < 0.5 and is_sequence(part):
            part = OTHER_STRAND[part[::-1]]
        return part[part < BOS] if joined else part

    def sequence(self, length, random):
        """One sequence [length] of token ids."""
        shares = np.array([SHARES[kind] for kind in self.kinds])
        parts, kind, joined = [], None, random.random() < 0.5
        longest = int(random.choice(LONGEST_CUTS))
        for first in range(0, length, longest):
            if kind is None or random.random() < 0.5:
                kind = self.kinds[int(random.choice(len(self.kinds), p=shares / shares.sum()))]
            wanted = min(longest, length - first)
            while wanted > 0:  # a kind may hold less than a cut
                parts.append(self.cut(kind, wanted, joined, random))
                wanted -= len(parts[-1])
        return np.concatenate(parts)

    def batch(self, tokens, length, random):
        """Sequences of `length` tokens, `tokens` together. -> [tokens / length, length] int16"""
        return torch.from_numpy(np.stack([self.sequence(length, random) for _ in range(max(1, tokens // length))]))


# A base's partner on the other strand; what is no base stays.
OTHER_STRAND = np.arange(VOCABULARY, dtype=np.int16)
OTHER_STRAND[list(b"ACGTacgt")] = list(b"TGCAtgca")


def is_sequence(part):
    """Whether a cut is bases in lines and nothing else, so that it can be turned to the other strand."""
    return bool(IN_SEQUENCES[part].all())


IN_SEQUENCES = np.zeros(VOCABULARY, bool)
IN_SEQUENCES[list(b"ACGTNacgtn\n")] = True


def tokens_of(folder, kind):
    """A kind's documents as tokens, and where they start."""
    if (folder / f"{kind}.tokens.npy").exists():
        return np.load(folder / f"{kind}.tokens.npy"), np.load(folder / f"{kind}.starts.npy")
    data = np.frombuffer(lzma.decompress((folder / f"{kind}.xz").read_bytes()), np.uint8)
    lengths = np.fromfile(folder / f"{kind}.lengths", "<u4").astype(np.int64)
    if lengths.sum() != len(data):
        raise SystemExit(f"{folder}/{kind}: {len(data)} bytes, but documents of {lengths.sum()}")
    ends = np.cumsum(lengths)
    # Two tokens more for every document.
    starts = ends - lengths + 2 * np.arange(len(lengths))
    tokens = np.empty(len(data) + 2 * len(lengths), np.int16)
    tokens[starts], tokens[starts + lengths + 1] = BOS, EOS
    inner = np.ones(len(tokens), bool)
    inner[starts] = inner[starts + lengths + 1] = False
    tokens[inner] = data
    return tokens, starts


def document(path, most=None):
    """A file as one document [n]: BOS, its bytes (the first `most`), EOS if it is whole."""
    data = np.fromfile(path, np.uint8)
    whole = most is None or len(data) <= most
    return torch.from_numpy(np.concatenate([[BOS], data[:most], [EOS] if whole else []]).astype(np.int64))


if __name__ == "__main__":
    corpus, into = map(Path, sys.argv[1:])
    into.mkdir(parents=True, exist_ok=True)
    whole = Corpus(corpus)
    for kind in whole.kinds:
        np.save(into / f"{kind}.tokens.npy", whole.tokens[kind])
        np.save(into / f"{kind}.starts.npy", whole.starts[kind])
    shutil.copytree(corpus / "heldout", into / "heldout", dirs_exist_ok=True)
