"""What was measured as tables, for reading (`text`) or for a document (`markdown`), and what it says about the goals."""

from statistics import fmean

from evaluation import lengths, samples
from evaluation.compressors import COMPRESSORS, SIZES

BASES_GOAL = 1.95  # bits per base
LEFT = ("file", "kind", "length of a run")  # columns of words


class Table:
    """Rows of words and figures; of the first `compared` figures the lowest is marked. None is an empty cell."""

    def __init__(self, title, words, figures, notes=(), compared=None):
        self.title, self.header, self.notes = title, (*words, *figures), list(notes)
        self.compared = len(figures) if compared is None else compared
        self.left = [word in LEFT for word in self.header]
        self.rows = []

    def add(self, words, figures):
        self.rows.append(([str(word) for word in words], list(figures)))

    def cells(self, best):
        """All rows as text, figures to three decimals, the lowest of a row as `best` writes it."""
        for words, figures in self.rows:
            rounded = ["" if figure is None else f"{figure:.3f}" for figure in figures]
            lowest = min(filter(None, rounded[:self.compared]), key=float, default=None)
            yield words + [best(figure) if place < self.compared and figure and figure == lowest else figure
                           for place, figure in enumerate(rounded)]

    def text(self):
        rows = [list(self.header), *self.cells("*{}".format)]
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = ["  ".join(cell.ljust(width) if left else cell.rjust(width)
                           for cell, width, left in zip(row, widths, self.left)).rstrip() for row in rows]
        return "\n".join([self.title, "", *lines, *([""] if self.notes else []), *self.notes])

    def markdown(self):
        rule = ["---" if left else "---:" for left in self.left]
        rows = [list(self.header), rule, *self.cells("**{}**".format)]
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        return "\n".join([f"## {self.title}", "", *lines, *(part for note in self.notes for part in ("", note))])


# ---------------------------------------------------------------------------------------------------
# Figures
# ---------------------------------------------------------------------------------------------------

def bits(entry, column):
    """The bits of a file by a compressor or a model; None where that was not measured."""
    if column in COMPRESSORS:
        size = entry["compressed"].get(column)
        return None if size is None else 8 * size
    return entry["models"].get(column, {}).get("bits")


def per_byte(entry, column):
    total = bits(entry, column)
    return None if total is None else total / entry["bytes"]


def per_base(entry, column):
    """All bits of the file, titles and line ends too, for each base."""
    total = bits(entry, column)
    return None if total is None or not entry["bases"] else total / entry["bases"]


def base_letters(entry, column):
    """The bits of the bases alone, for each base: models only."""
    total = entry["models"].get(column, {}).get("base_bits")
    return None if total is None or not entry["bases"] else total / entry["bases"]


def mean(values):
    """The mean, or None where a value is missing."""
    values = list(values)
    return fmean(values) if values and None not in values else None


# ---------------------------------------------------------------------------------------------------
# Tables
# ---------------------------------------------------------------------------------------------------

def main_table(entries, models, cut):
    columns = (*COMPRESSORS, *models)
    notes = [SIZES, "Means are over files, each counted once."]
    if cut:
        notes.insert(0, f"Only the first {cut:,} bytes of every file.")
    table = Table("Bits per byte", ("file", "kind", "bytes"), columns, notes)
    for entry in entries:
        table.add((entry["path"], entry["kind"], f"{entry['bytes']:,}"), [per_byte(entry, column) for column in columns])
    for kind in samples.KINDS:
        those = [entry for entry in entries if entry["kind"] == kind]
        if those:
            means = [mean(per_byte(entry, column) for entry in those) for column in columns]
            table.add((f"mean of {kind}", kind, f"{sum(entry['bytes'] for entry in those):,}"), means)
    return table


def nucleotide_table(entries, models):
    """None where there are no nucleotides."""
    entries = [entry for entry in entries if entry["bases"]]
    columns = (*COMPRESSORS, *models)
    notes = ["Bits of the whole file, titles and line ends too, for each base; the last columns have those of the bases alone."]
    table = Table("Bits per base", ("file", "bases"), (*columns, *(f"{model}, bases alone" for model in models)), notes,
                  compared=len(columns))
    for entry in entries:
        figures = [per_base(entry, column) for column in columns] + [base_letters(entry, model) for model in models]
        table.add((entry["path"], f"{entry['bases']:,}"), figures)
    return table if entries else None


def length_tables(records):
    for model, record in records.items():
        means, whole = lengths.summary(record)
        note = f"Mean over all {record['bytes']:,} bytes of the longest run: {whole:.3f} " \
               f"({whole - means[lengths.PIECE]:+.3f} to the same bytes in runs of 128 KiB)."
        table = Table(f"The same bytes at growing lengths: {model}", ("length of a run", "runs", "difference to 128 KiB"),
                      ("bits per byte",), [note], compared=0)
        for length, value in means.items():
            count = sum(run["bytes"] == length for run in record["runs"])
            table.add((f"{length // 1024:,} KiB", count, f"{value - means[lengths.PIECE]:+.3f}"), [value])
        yield table


# ---------------------------------------------------------------------------------------------------
# Judgements
# ---------------------------------------------------------------------------------------------------

def judgement(claim, figures, holds):
    verdict = "not measured" if holds is None else "holds" if holds else "misses"
    return {"claim": claim, "figures": figures, "verdict": verdict}


def below(entries, model, rival, scope):
    """The claim that a model is below a compressor on every one of these files."""
    claim = f"{model} is below {rival} on every {scope} file"
    pairs = [(per_byte(entry, model), per_byte(entry, rival), entry["path"]) for entry in entries]
    if not pairs or any(None in pair for pair in pairs):
        return judgement(claim, "figures are missing", None)
    ours, theirs, path = max(pairs, key=lambda pair: pair[0] / pair[1])
    missed = [path for ours, theirs, path in pairs if ours >= theirs]
    figures = f"{len(pairs) - len(missed)} of {len(pairs)}; closest or worst {path}: {ours:.3f} against {theirs:.3f}"
    return judgement(claim, figures + (f"; not on {', '.join(missed)}" if missed else ""), not missed)


def mean_below(entries, model, rival, kind):
    ours, theirs = (mean(per_byte(entry, column) for entry in entries) for column in (model, rival))
    claim = f"{model} is below {rival} in the mean of {kind}"
    if ours is None or theirs is None:
        return judgement(claim, "figures are missing", None)
    return judgement(claim, f"{ours:.3f} against {theirs:.3f}", ours < theirs)


def nucleotides_below(entries, model):
    claim = f"{model} is below {BASES_GOAL} bits per base on every nucleotide file"
    figures = [(base_letters(entry, model), per_base(entry, model), entry["path"]) for entry in entries]
    if not figures or any(None in figure for figure in figures):
        return judgement(claim, "figures are missing", None)
    alone, whole, path = max(figures)
    average = mean(figure[0] for figure in figures)
    words = f"highest {alone:.3f}, with titles and line ends {whole:.3f} ({path}); mean {average:.3f}"
    return judgement(claim, words, alone < BASES_GOAL)


def judgements(entries, model, records):
    """What the figures say of one model about each goal."""
    def kind(name):
        return [entry for entry in entries if entry["kind"] == name]

    found = [below(entries, model, "xz", "held-out")]
    for name in ("text", "code"):
        found += [below(kind(name), model, "PPMd", name), mean_below(kind(name), model, "PPMd", name)]
    found.append(nucleotides_below(kind("nucleotides"), model))
    claim = f"{model} on the longest run is at most {lengths.GOAL} bits per byte above runs of 128 KiB, over the same bytes"
    if model not in records:
        return found + [judgement(claim, "run with --length", None)]
    means, whole = lengths.summary(records[model])
    longest, short = means[records[model]["bytes"]], means[lengths.PIECE]
    figures = f"{longest:.3f} against {short:.3f}, {longest - short:+.3f}; all of the longest run {whole:.3f}"
    return found + [judgement(claim, figures, longest - short <= lengths.GOAL)]
