"""The same text at growing lengths: does a model predict a byte as well, or better, where more text precedes it?

The first 16 MiB of a long text are scored as one file, and parts of it as files of their own. What is compared is the mean
over exactly the same bytes: eight pieces of 128 KiB, four in each of two parts of 1 MiB, those in the middle of the text's
halves. Each piece is part of the whole run and of a run of 1 MiB, is a run of its own, and is two runs of 64 KiB.
"""

import math
import os
import tempfile

from evaluation import samples

WHOLE, PART, PIECE, HALF = 16 << 20, 1 << 20, 128 << 10, 64 << 10
GOAL = 0.02  # bits per byte that the whole run may be above runs of 128 KiB


def parts(size):
    """Offsets of the two parts of 1 MiB."""
    return [size * place // 4 - PART // 2 for place in (1, 3)]


def pieces(size):
    """Offsets of the eight pieces of 128 KiB."""
    step = PART // 4
    return [part + place * step + (step - PIECE) // 2 for part in parts(size) for place in range(4)]


def runs(size):
    """(offset, bytes) of everything that is scored, the short ones first."""
    short = [(piece, PIECE) for piece in pieces(size)]
    halves = [(piece + half, HALF) for piece in pieces(size) for half in (0, HALF)]
    return halves + short + [(part, PART) for part in parts(size)] + [(0, size)]


def measure(program, model, path, record, save, say):
    """Fills record["runs"], a list of {offset, bytes, bits, same_bits}, with the runs that it lacks.

    same_bits is the sum over those bytes of the run that all lengths share.
    """
    size = record["bytes"] = min(WHOLE, os.path.getsize(path))
    done = {(run["offset"], run["bytes"]) for run in record["runs"]}
    for offset, length in runs(size):
        if (offset, length) in done:
            continue
        with open(path, "rb") as file, tempfile.NamedTemporaryFile() as cut:
            file.seek(offset)
            cut.write(file.read(length))
            cut.flush()
            result, costs = program.costs(cut.name, model)
        shared = ((max(piece - offset, 0), min(piece + PIECE - offset, length)) for piece in pieces(size))
        same = math.fsum(math.fsum(costs[start:end]) for start, end in shared if start < end)
        record["runs"].append({"offset": offset, "bytes": length, "bits": math.fsum(costs), "same_bits": same,
                               "seconds": result["seconds"]})
        save()
        say(f"{samples.shown(path)}, {length:,} bytes from {offset:,}: {math.fsum(costs) / length:.3f}")


def summary(record):
    """Means in bits per byte: {length: over the same bytes}, and over all bytes of the whole run."""
    size = record["bytes"]
    means = {}
    for length in (HALF, PIECE, PART, size):
        same = [run["same_bits"] for run in record["runs"] if run["bytes"] == length]
        means[length] = math.fsum(same) / (len(pieces(size)) * PIECE)
    whole = next(run for run in record["runs"] if run["bytes"] == size)
    return means, whole["bits"] / size


def long_enough(path):
    return os.path.isfile(path) and os.path.getsize(path) >= 2 * PART + PIECE
