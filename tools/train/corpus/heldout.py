"""The held-out files: made from sources of their own, and remembered so that nothing like them is trained on."""

import hashlib
import os
import shutil
from collections import namedtuple

from corpus.documents import documents
from corpus.versions import VERSIONS
from corpus.windows import Seen, bare, reverse_complement, windows

DATASETS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "datasets")

Held = namedtuple("Held", "folder name kind package version patterns limit recipe licence")
Made = namedtuple("Made", "kind name data origin")

# Files of datasets/ that are always held out, and their kind.
GIVEN = {"opticks.txt": "text", "stb.c": "code", "ecoli536.fna": "nucleotides", "ecg208.u16": "sensor"}

HELDOUT = []


def hold(folder, name, package, patterns, limit, licence, recipe="plain"):
    HELDOUT.append(Held(folder, name, folder, package, VERSIONS[package], patterns.split(), limit, recipe, licence))


hold("text", "devil.txt", "dict-devil", "usr/share/dictd/devil.dict.dz", 300_000, "public domain")
hold("text", "securing.txt", "harden-doc", "usr/share/doc/harden-doc/html/en-US/*.html", 300_000,
     "GPL-2+", "html_text")
hold("code", "networkx.py", "python3-networkx", "usr/lib/python3/dist-packages/networkx/algorithms/*.py -*/tests/*",
     350_000, "BSD-3-Clause")
hold("code", "tokio.rs", "librust-tokio-dev", "usr/share/cargo/registry/tokio-*/src/*.rs", 350_000, "MIT")
hold("man", "erlang.man", "erlang-manpages", "usr/share/man/man3/*.gz", 350_000, "Apache-2.0")
hold("man", "slurm.man", "slurm-client", "usr/share/man/*.gz", 250_000, "GPL-2+")
hold("nucleotides", "helicobacter.fna", "sibelia-examples", "*/Helicobacter_pylori.fasta.gz", 600_000,
     "public domain (GenBank)")
hold("nucleotides", "worm.fa", "samtools-test", "usr/share/samtools/test/mpileup/ce.fa", 300_000,
     "public domain (GenBank)")
hold("tables", "ggplot2.csv", "r-cran-ggplot2", "usr/lib/R/site-library/ggplot2/data/*.rd?", 320_000, "GPL-2",
     "r_tables")
hold("tables", "ieee.csv", "ieee-data", "usr/share/ieee-data/oui36.csv", 300_000, "facts")
hold("sensor", "voice.s16", "supercollider-common", "*/sounds/a11wlk01.wav", 300_000, "GPL-3+", "sample")
hold("sensor", "relief.s16", "python-matplotlib-data", "*/sample_data/jacksboro_fault_dem.npz", 300_000,
     "public domain", "arrays")
hold("sensor", "face.rgb", "python3-scipy", "*/face.dat", 350_000, "public domain", "raw_planes")
hold("other", "apache.html", "apache2-doc", "usr/share/doc/apache2-doc/manual/de/*.html", 300_000, "Apache-2.0")
hold("other", "nmap.elf", "nmap", "usr/bin/nmap", 250_000, "Nmap licence")
hold("other", "rus.txt", "debian-history", "usr/share/doc/debian-history/docs/*.ru.txt*", 200_000, "GPL-2+")
hold("long", "english.txt", "dict-gcide", "usr/share/dictd/gcide.dict.dz", 19_000_000, "GPL-1+")


def make_heldout(into, cache):
    """Writes the held-out files into a folder, and returns the marks of their windows and what corpus.json says."""
    made = [given(name, kind) for name, kind in GIVEN.items()]
    made += [file for file in (taken(held, cache) for held in HELDOUT) if file]
    replace(os.path.join(into, "heldout"), made)
    seen = Seen()
    for file in made:
        content = bare(file.kind, file.data)
        seen.add(windows(content))
        if file.kind == "nucleotides":
            seen.add(windows(reverse_complement(content)))
    return seen, [{"kind": file.kind, "name": file.name, "bytes": len(file.data), "origin": file.origin,
                   "sha256": hashlib.sha256(file.data).hexdigest()} for file in made]


def given(name, kind):
    with open(os.path.join(DATASETS, name), "rb") as file:
        return Made(kind, name, file.read(), "datasets/" + name)


def taken(held, cache):
    """The first bytes of what a package gives; text ends with a whole line."""
    path, version = cache.fetch(held.package, held.version)
    if path is None:
        return None
    data = b"".join(documents(path, held))[:held.limit]
    if held.kind != "sensor" and not held.name.endswith(".elf"):
        data = data[:data.rfind(b"\n") + 1]
    return Made(held.folder, held.name, data, f"{held.package} {version}")


def replace(folder, made):
    """The files are written beside the folder, which then takes the place of the old one: no reader sees half of it."""
    beside, before = folder + ".partial", folder + ".old.partial"
    for stale in (beside, before):
        shutil.rmtree(stale, ignore_errors=True)
    for file in made:
        os.makedirs(os.path.join(beside, file.kind), exist_ok=True)
        with open(os.path.join(beside, file.kind, file.name), "wb") as out:
            out.write(file.data)
    if os.path.exists(folder):
        os.rename(folder, before)
    os.rename(beside, folder)
    shutil.rmtree(before, ignore_errors=True)
