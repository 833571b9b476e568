"""Just enough of R's binary files to read the data sets of its packages."""

import bz2
import gzip
import lzma
import struct
import zlib

import numpy as np

# What the first number of an object says: its type, and flags above it.
EMPTY, REFERENCE, SYMBOL, ENVIRONMENT, COMPACT = (254, 242, 253, 241, 251, 252), 255, 1, 4, 238
NAMESPACES, PAIRS, CHARACTERS = (249, 250, 247), (2, 6, 5, 3), 9
WHOLE, REAL, LISTS, RAW, S4 = (10, 13), 14, (16, 19, 20), 24, 25
ATTRIBUTES, TAG = 512, 1024


class RReader:
    """Just enough of R's binary serialization (XDR) to read vectors, lists and data frames."""

    def __init__(self, data):
        self.data, self.at, self.references = data, 2, []
        version = self.ints(3)[0]
        if version == 3:
            length = self.ints(1)[0]  # of the name of an encoding
            self.at += length

    def bytes(self, count):
        self.at += count
        return self.data[self.at - count:self.at]

    def ints(self, count):
        self.at += 4 * count
        return struct.unpack_from(f">{count}i", self.data, self.at - 4 * count)

    def item(self):
        flags = self.ints(1)[0]
        kind = flags & 255
        if kind in EMPTY:
            return None
        if kind == REFERENCE:
            return self.references[(flags >> 8 or self.ints(1)[0]) - 1]
        if kind == SYMBOL:
            self.references.append(self.item())
            return self.references[-1]
        if kind in NAMESPACES or kind == ENVIRONMENT:
            return self.skip_environment(kind)
        if kind in PAIRS:
            return self.pair(flags)
        if kind == COMPACT:
            return self.compact()
        if kind == CHARACTERS:
            return self.characters()
        value = self.vector(kind)
        return {"value": value, "attributes": dict(self.item() or []) if flags & ATTRIBUTES else {}}

    def skip_environment(self, kind):
        """An environment or a name space: nothing of it is of use, but it counts as a reference."""
        if kind == ENVIRONMENT:
            self.references.append(None)
        self.ints(1)
        for _ in range(4 if kind == ENVIRONMENT else self.ints(1)[0]):
            self.item()
        if kind != ENVIRONMENT:
            self.references.append(None)

    def pair(self, flags):
        """A list of pairs, from here to its end: (tag, value)."""
        if flags & ATTRIBUTES:
            self.item()
        tag = self.item() if flags & TAG else None
        head, tail = self.item(), self.item()
        return [(tag, head)] + (tail if isinstance(tail, list) else [])

    def compact(self):
        """A vector that is stored as what it is made from."""
        info, state, _ = self.item(), self.item(), self.item()
        name = info[0][1] if info else ""
        if name == "compact_intseq":
            count, first, step = (int(v) for v in state["value"])
            return {"value": np.arange(first, first + step * count, step), "attributes": {}}
        if name == "deferred_string":
            return {"value": [f"{v:g}" for v in state[0][1]["value"]], "attributes": {}}
        if name.startswith("wrap_"):
            return state[0][1] if isinstance(state, list) else state
        raise ValueError(name)

    def characters(self):
        length = self.ints(1)[0]
        return None if length < 0 else self.bytes(length).decode("utf-8", "replace")

    def vector(self, kind):
        if kind in WHOLE:
            return np.array(self.ints(self.ints(1)[0]))
        if kind == REAL:
            return np.frombuffer(self.bytes(8 * self.ints(1)[0]), ">f8").astype("<f8")
        if kind in LISTS:
            return [self.item() for _ in range(self.ints(1)[0])]
        if kind == RAW:
            self.bytes(self.ints(1)[0])
        elif kind != S4:
            raise ValueError(f"R object of type {kind}")
        return None


BROKEN = (ValueError, TypeError, IndexError, KeyError, struct.error, zlib.error, lzma.LZMAError, EOFError, OSError,
          RecursionError)


def r_objects(data, index):
    """The objects of a lazy-load data base, .rdb with its .rdx, or of an .rda file without index."""
    if index is None:
        try:
            yield from (thing for _, thing in RReader(unpacked(data)[5:]).item() if thing)
        except BROKEN:
            return
        return
    table = RReader(unpacked(index)).item()
    for start, length in (entry["value"] for entry in table["value"][0]["value"]):
        try:
            yield RReader(piece(data[start:start + length])).item()
        except BROKEN:
            continue


def unpacked(data):
    for start, decompress in ((b"x", zlib.decompress), (b"BZh", bz2.decompress), (b"\xfd7z", lzma.decompress)):
        if data.startswith(start):
            return decompress(data)
    return gzip.decompress(data)


def piece(data):
    """An object of a data base: its length, perhaps a letter for the compression, and the compressed bytes."""
    if data[4:5] == b"Z":
        return lzma.decompress(data[5:], lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2}])
    return bz2.decompress(data[5:]) if data[4:5] == b"2" else zlib.decompress(data[4:])


def r_frame(thing):
    """A data frame, matrix or vector of R as a list of columns, each (name, values)."""
    attributes, value = thing["attributes"], thing["value"]
    names = attributes.get("names")
    if isinstance(value, list) and names and "row.names" in attributes:
        return [(name, column_values(column)) for name, column in zip(names["value"], value)]
    if isinstance(value, np.ndarray) and "dim" in attributes and len(attributes["dim"]["value"]) == 2:
        return matrix_columns(value, attributes)
    return [("x", list(value))] if isinstance(value, np.ndarray) else None


def column_values(column):
    levels = column["attributes"].get("levels")
    if not levels:
        return list(column["value"])
    return [levels["value"][v - 1] if 0 < v <= len(levels["value"]) else None for v in column["value"]]


def matrix_columns(value, attributes):
    rows, width = attributes["dim"]["value"]
    names = [None] * width
    if attributes.get("dimnames") and attributes["dimnames"]["value"][1]:
        names = attributes["dimnames"]["value"][1]["value"]
    return [(names[i] or f"V{i + 1}", list(value[i * rows:(i + 1) * rows])) for i in range(width)]
