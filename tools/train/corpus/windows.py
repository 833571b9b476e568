"""Near-duplicates: the share of a document's 64-byte windows that was seen before."""

import re

import numpy as np

from corpus.limits import SEED

WINDOW, SAMPLE, BITS = 64, 16, 28
TABLE = np.random.default_rng(SEED).integers(0, 1 << 64, 256, dtype=np.uint64)
FACTORS = np.random.default_rng(SEED + 1).integers(0, 1 << 63, 6, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


def windows(data):
    """Hashes of one 64-byte window in sixteen, chosen by their content, each once."""
    if len(data) < WINDOW:
        return np.empty(0, np.uint64)
    value = TABLE[np.frombuffer(data, np.uint8)]
    for step, factor in zip((1, 2, 4, 8, 16, 32), FACTORS):
        value = value[:-step] * factor + value[step:]
        value ^= value >> np.uint64(29)
    value *= FACTORS[0]
    return np.unique(value[value >> np.uint64(60) == 0] & np.uint64((1 << BITS) - 1))


def bare(kind, data):
    """What is compared: for nucleotides the upper-case sequence without titles and line ends."""
    if kind == "nucleotides" and data[:1] == b">":
        return re.sub(rb">[^\n]*|\s", b"", data).upper()
    return data


class Seen:
    """The windows of documents seen so far."""

    def __init__(self):
        self.marks = np.zeros(1 << BITS, bool)

    def add(self, hashes):
        self.marks[hashes] = True

    def share(self, hashes):
        """The share of these windows that were there before; a single hit may be chance."""
        hits = int(self.marks[hashes].sum())
        return hits / len(hashes) if hits > 1 else 0.0


def reverse_complement(sequence):
    return sequence[::-1].translate(bytes.maketrans(b"ACGTacgt", b"TGCAtgca"))
