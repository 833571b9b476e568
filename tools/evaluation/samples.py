"""Which files are measured, and what counts as a base in those that hold nucleotides."""

import hashlib
import os
import re

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
KINDS = ("text", "code", "man", "nucleotides", "tables", "sensor", "other")
DATASETS = {"opticks.txt": "text", "stb.c": "code", "ecoli536.fna": "nucleotides", "ecg208.u16": "sensor"}
FASTA = (".fna", ".fa", ".fasta", ".ffn")
LONG_TEXT = os.path.join("heldout", "long", "english.txt")
LETTERS = bytes(chr(byte).isascii() and chr(byte).isalpha() for byte in range(256))  # 1 where a byte is a letter


def shown(path):
    """A path as reports name it: from the repository's root where it is inside."""
    path = os.path.abspath(path)
    return os.path.relpath(path, ROOT) if path.startswith(ROOT + os.sep) else path


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def kind_of(path):
    """The kind of a file that was named by itself: by the folder it is in, or by its name."""
    folder, name = os.path.split(os.path.abspath(path))
    if os.path.basename(folder) in KINDS:
        return os.path.basename(folder)
    return DATASETS.get(name) or ("nucleotides" if name.endswith(FASTA) else "other")


def heldout(corpus):
    """[(path, kind)]: the held-out files of a corpus, then those of datasets/ that are not among them under any name."""
    found, contents = [], set()
    for kind in KINDS:
        folder = os.path.join(corpus, "heldout", kind)
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            path = os.path.join(folder, name)
            partial = name.startswith(".") or name.endswith(".partial")
            if not partial and os.path.isfile(path) and os.path.getsize(path):
                found.append((path, kind))
                contents.add(digest(path))
    for name, kind in DATASETS.items():
        path = os.path.join(ROOT, "datasets", name)
        if os.path.isfile(path) and digest(path) not in contents:
            found.append((path, kind))
    return sorted(found, key=lambda entry: KINDS.index(entry[1]))


def bases(data):
    """A mask of the letters in the sequence lines of FASTA: a byte for each byte of `data`, 1 where it is a base."""
    lines = re.split(rb"(?<=\n)", data)
    return b"".join(bytes(len(line)) if line.startswith(b">") else line.translate(LETTERS) for line in lines)
