"""SOURCES.md: what a run took, written from corpus.json."""

from corpus.limits import KINDS, MOST
from corpus.assemble import NEAR_HELDOUT, NEAR_OTHERS

HEAD = """# What the training corpus is made of

`make_corpus` writes this page (`--sources-page`): what its last run took, from packages of Debian 12, all from `main`,
so all freely redistributable. The texts themselves are not passed on; only the model trained on them is. The tables
that are run are `corpus/sources_*.py`, the versions stand in `corpus/versions.py`. The licence is that of the files
taken, in short; each package's `debian/copyright` has the exact terms. Where a version is gone from the archive, the
current one is taken, with a warning.
"""

TREATMENT = f"""
## Treatment

- Documentation in HTML mostly becomes plain text; scripts of games give their longer quoted sentences only.
- Genomes are wrapped anew at 50 to 80 bases a line (one in eight: a single line), one in ten in lower case; no
  sequence is invented. Sequences whose title names Escherichia, Shigella or Helicobacter are left out.
- R's data frames are written as CSV, TSV or columns with spaces, its long vectors of strings as lines.
- Recordings lose their headers. A series of real numbers is stored twice at most: as float64 and as float32, or as
  float64 and as 16-bit integers where these hold it; tables of numbers as rows of float32 and columns of float64.
  Pictures are decoded to raw pixels, some behind the header of a PGM or PPM file.
- A document of which more than {NEAR_OTHERS:.0%} of the 64-byte windows (one in sixteen, chosen by content) occur in
  earlier documents of its kind is dropped.
- A file gives no more than a cap set for its kind, a source no more than its limit or a little over it. What a kind
  has beyond its share of the budget is dropped from the end of the shuffled list; the shares are, in millions of
  bytes: {", ".join(f"{kind} {MOST[kind] / 1e6:g}" for kind in KINDS)}.
"""

HELDOUT = f"""
## Held-out files

They differ in origin from what is trained on: another author, project, organism, instrument or place. Most come from
packages that give nothing to the same kind of training. From four packages other files of the same kind are trained
on: beside the Helicobacter other bacteria, beside the worm other genomes, beside the relief that of another region,
beside the face recordings and arrays. Pictures of other packages are trained on too, this one is not among them. Other
kinds may hold something of the same project: Erlang's source code and other pages of its documentation beside Erlang's
manual pages, the English original beside the translation `other/rus.txt`.

A training document is dropped when more than {NEAR_HELDOUT:.0%} of its windows occur in any held-out file; nucleotides
are compared without line ends and case, and with both strands. `long/english.txt` is most of a dictionary that is used
for nothing else, longer than 2^24 bytes.
"""


def page(report):
    """The whole page, from what corpus.json says."""
    kinds = {kind: report["kinds"][kind] for kind in KINDS if kind in report["kinds"]}
    parts = [HEAD, table("kind | bytes | compressed | documents", "|---|---:|---:|---:|", (
        (kind, f"{entry['raw']:,}", f"{entry['compressed']:,}", f"{entry['documents']:,}")
        for kind, entry in kinds.items())), TREATMENT, HELDOUT]
    parts.append(table("file | bytes | from", "|---|---:|---|", (
        (f"{file['kind']}/{file['name']}", f"{file['bytes']:,}", file["origin"]) for file in report["heldout"])))
    for kind, entry in kinds.items():
        parts += [f"\n## {kind}\n", sources(entry["sources"])]
    return "\n".join(parts).replace("\n\n\n", "\n\n")


def sources(notes):
    """The sources of a kind that gave something."""
    return table("package | version | what is taken | recipe | bytes | licence", "|---|---|---|---|---:|---|", (
        (note["package"], note["version"], f"`{patterns(note)}`", note["recipe"], f"{note['bytes']:,}", note["licence"])
        for note in notes if note["bytes"]))


def patterns(note):
    """The patterns of a source, the first few when they are many."""
    shown, rest = "", note["patterns"]
    while rest and (not shown or len(shown) + len(rest[0]) < 80):
        shown, rest = f"{shown} {rest[0]}".strip(), rest[1:]
    return shown + (" …" if rest else "")


def table(head, line, rows):
    return "\n".join([f"| {head} |", line] + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"
