"""One kind of document from all its sources: near-duplicates dropped, cut to the budget, written.

Documents stand in the order of their sources and file names, so that what a package says again and again lies as near as it
does in an archive, and a long sequence cut out of them is one that could be a file.
"""

import json
import lzma
import os
import random

import numpy as np

from corpus.documents import documents
from corpus.limits import LEAST, LONGEST, MOST, SEED
from corpus.packages import warn
from corpus.sources import SOURCES
from corpus.windows import Seen, bare, windows

NEAR_HELDOUT, NEAR_OTHERS = 0.02, 0.6  # a document with a greater share of known windows is dropped


def make_kind(kind, held, into, cache):
    """Writes the documents of one kind, and returns what corpus.json says of it."""
    seen, kept, notes = Seen(), [], []
    for source in (s for s in SOURCES if s.kind == kind):
        path, version = cache.fetch(source.package, source.version)
        if path is None:
            continue
        chosen = choose(path, source, held, seen)
        kept += [(len(notes), d[i:i + LONGEST]) for d in chosen for i in range(0, len(d), LONGEST)]
        notes.append({"package": source.package, "version": version, "patterns": source.patterns,
                      "recipe": source.recipe, "licence": source.licence, "bytes": sum(map(len, chosen))})
    kept = within_budget(kept, kind, notes)
    return write(kept, kind, into) | {"sources": notes}


def choose(path, source, held, seen):
    """Documents of one source, at random, up to its limit, in their order; the windows of those chosen are marked as seen."""
    candidates = [(place, d) for place, d in enumerate(documents(path, source)) if len(d) >= LEAST]
    random.Random(f"{SEED} {source.package} {source.patterns}").shuffle(candidates)
    chosen, used, again, near = [], 0, 0, 0
    for place, document in candidates:
        if used >= source.limit:
            break
        hashes = windows(bare(source.kind, document))
        if held.share(hashes) > NEAR_HELDOUT:
            near += 1
            continue
        if seen.share(hashes) > NEAR_OTHERS:
            again += 1
            continue
        seen.add(hashes)
        if used + len(document) > source.limit * 1.3:
            document = document[:max(LEAST, source.limit - used)]
        chosen.append((place, document))
        used += len(document)
    if not chosen:
        warn(f"{source.package}: nothing fits {source.patterns}")
    print(f"{source.kind:12}{source.package:32}{len(chosen):7}{used:12,}  of {len(candidates)}; "
          f"{again} seen before, {near} near a held-out file", flush=True)
    return [document for _, document in sorted(chosen)]


def within_budget(kept, kind, notes):
    """The documents without those, taken at random, that are too much; the notes of their sources say so."""
    order = list(range(len(kept)))
    random.Random(SEED).shuffle(order)
    total = sum(len(document) for _, document in kept)
    while total > MOST[kind]:
        index, document = kept[order.pop()]
        total -= len(document)
        notes[index]["bytes"] -= len(document)
    return [kept[place][1] for place in sorted(order)]


def write(kept, kind, into):
    """KIND.xz and KIND.lengths."""
    stream = b"".join(kept)
    packed = lzma.compress(stream, filters=[{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME,
                                             "dict_size": 64 << 20}])
    with open(os.path.join(into, f"{kind}.xz"), "wb") as file:
        file.write(packed)
    np.array([len(d) for d in kept], "<u4").tofile(os.path.join(into, f"{kind}.lengths"))
    return {"raw": len(stream), "compressed": len(packed), "documents": len(kept)}


def save(path, heldout, kinds):
    """Brings corpus.json up to date, and returns what it says now."""
    report = {"kinds": {}}
    if os.path.exists(path):
        with open(path) as file:
            report = json.load(file)
    report["heldout"] = heldout
    report["kinds"].update(kinds)
    with open(path + ".partial", "w") as file:
        json.dump(report, file, indent=1)
    os.replace(path + ".partial", path)
    return report
