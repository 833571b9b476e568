"""Nucleotide sequences: FASTA wrapped anew, and GenBank or EMBL with its sequence."""

import random
import re

from corpus.limits import CAP

MENTIONS = re.compile(rb"Escherichia|Shigella|E\. ?coli|Helicobacter", re.I)  # too close to a held-out genome


def fasta(name, data):
    """FASTA, its lines made 60, 70 or 80 long (seldom one line, seldom lower case); one document per sequence
    longer than 20,000 bases, the shorter ones together."""
    rng = random.Random(name)
    short = []
    for record in re.split(rb"(?m)^(?=>)", data.replace(b"\r", b"")):
        title, _, body = record.partition(b"\n")
        body = body.replace(b"\n", b"").replace(b" ", b"")
        if not title.startswith(b">") or not body or MENTIONS.search(title):
            continue
        if len(body) < 20_000:
            short.append(record if record.endswith(b"\n") else record + b"\n")
            continue
        for start in range(0, len(body), CAP["nucleotides"]):
            yield title + b"\n" + fold(body[start:start + CAP["nucleotides"]], rng)
    if short:
        yield b"".join(short)


def fold(body, rng):
    width = rng.choice((60, 60, 70, 70, 80, 80, 50, 0))
    if rng.random() < 0.1:
        body = body.lower()
    return body + b"\n" if width == 0 else b"".join(body[i:i + width] + b"\n" for i in range(0, len(body), width))


def genbank(name, data):
    """A GenBank or EMBL file, as it is; and its sequence once more as FASTA."""
    yield data[:1_000_000]
    head = re.search(rb"DEFINITION +(.*)|^DE +(.*)", data, re.M)
    body = b"".join(re.findall(rb"^ORIGIN.*?^//", data, re.M | re.S))
    body = re.sub(rb"ORIGIN|[^a-zA-Z]", b"", body)
    if head and len(body) > 20_000 and not MENTIONS.search(head.group(0)):
        yield from fasta(name, b">" + (head.group(1) or head.group(2)).strip() + b"\n" + body.upper() + b"\n")


RECIPES = (fasta, genbank)
