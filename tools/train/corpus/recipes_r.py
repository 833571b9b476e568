"""The data sets of R's packages, as tables and as numbers."""

import random

import numpy as np

from corpus.r_files import r_frame, r_objects


def frames(pair):
    for thing in r_objects(*pair):
        try:
            frame = r_frame(thing)
        except (TypeError, KeyError, IndexError, ValueError):
            continue
        if frame:
            yield frame


def r_tables(name, pair):
    """Data frames, matrices and series of an R package, written as CSV, TSV or plain columns."""
    rng = random.Random(name)
    for frame in frames(pair):
        if len(frame) > 200 or max(len(v) for _, v in frame) < 20:
            continue
        between, quote = rng.choice(((",", '"'), (",", ""), (",", ""), ("\t", ""), (" ", ""), (";", "")))
        rows = [between.join(f"{quote}{n}{quote}" for n, _ in frame)]
        columns = [[show(v, quote) for v in values] for _, values in frame]
        rows += [between.join(cells) for cells in zip(*columns)]
        yield ("\n".join(rows) + "\n").encode()


def show(value, quote):
    if value is None or isinstance(value, (int, np.integer)) and value == -2147483648:
        return "NA"
    if isinstance(value, (float, np.floating)):
        return "NA" if value != value else f"{value:.10g}"
    return f"{quote}{value}{quote}" if isinstance(value, str) else str(value)


def r_numbers(name, pair):
    """The longer numeric vectors of an R package: float64, and float32 or 16-bit where that holds them."""
    for frame in frames(pair):
        for _, values in frame:
            if len(values) < 400 or not isinstance(values[0], (float, np.floating)):
                continue
            array = np.array(values, "<f8")
            yield array.tobytes()
            if np.all(np.isfinite(array)) and np.all(array == np.round(array)) and np.abs(array).max() < 32768:
                yield array.astype("<i2").tobytes()
            else:
                with np.errstate(all="ignore"):
                    yield array.astype("<f4").tobytes()


def r_texts(name, pair):
    """Long character vectors of an R package, a line for each string: whole books."""
    for thing in r_objects(*pair):
        lines = thing["value"]
        if isinstance(lines, list) and len(lines) > 200 and all(isinstance(line, str) for line in lines):
            yield "\n".join(lines).encode() + b"\n"


RECIPES = (r_tables, r_numbers, r_texts)
