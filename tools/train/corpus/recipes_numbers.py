"""Numbers as devices and programs store them: arrays, tables of numbers, voxels, images of telescopes."""

import gzip
import io
import math
import re
import struct
import warnings
import zipfile

import numpy as np

FITS_BLOCK = 2880


def arrays(name, data):
    """NumPy arrays as raw little-endian values; real numbers once as they are and once as the other float."""
    files = {}
    if data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            files = {n: file.read(n) for n in file.namelist()}
    else:
        files[name] = data
    for content in files.values():
        if content[:6] != b"\x93NUMPY":
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                array = np.load(io.BytesIO(content), allow_pickle=False)
        except ValueError:
            continue
        if array.dtype.kind not in "fiu":
            continue
        array = array.astype(array.dtype.newbyteorder("<"))
        yield array.tobytes()
        if array.dtype.kind == "f":
            with np.errstate(all="ignore"):
                yield array.astype("<f4" if array.dtype.itemsize == 8 else "<f8").tobytes()


def columns(name, data):
    """The numeric columns of a table: row by row as float32, or column by column as float64."""
    rows = []
    for line in data.decode("latin-1").splitlines():
        cells = [c for c in re.split(r"[,;\s]+", line.strip()) if c]
        try:
            rows.append([float(c) for c in cells])
        except ValueError:
            continue
    if not rows:
        return
    width = max(set(map(len, rows)), key=[len(r) for r in rows].count)
    table = np.array([r for r in rows if len(r) == width])
    if table.size >= 2000 and width <= 64:
        yield table.astype("<f4").tobytes()
        yield np.ascontiguousarray(table.T).astype("<f8").tobytes()


def nifti(name, data):
    """The voxels of a NIfTI image, little-endian, without its header; the middle slices."""
    if len(data) < 400 or struct.unpack_from("<I", data)[0] != 348:
        return
    start = int(struct.unpack_from("<f", data, 108)[0])
    middle = start + (len(data) - start) // 3 // 8 * 8
    yield data[middle:middle + 1_000_000]


def gunzipped(name, data):
    """A binary log, unpacked if it is packed without saying so in its name."""
    yield gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def fits(name, data):
    """The arrays of a FITS file, made little-endian."""
    cards, at = fits_header(data, 0)
    while cards is not None:
        axes = [int(cards.get(f"NAXIS{i + 1}", 0)) for i in range(int(cards.get("NAXIS", 0)))]
        size = abs(int(cards.get("BITPIX", 8))) // 8 * math.prod(axes)
        if axes and size > 2000:
            kind = {"8": ">u1", "16": ">i2", "32": ">i4", "-32": ">f4", "-64": ">f8"}[cards["BITPIX"]]
            values = np.frombuffer(data[at:at + size], kind)
            yield values.astype(kind.replace(">", "<")).tobytes()
        cards, at = fits_header(data, at + (-(-size // FITS_BLOCK) * FITS_BLOCK if axes else 0))


def fits_header(data, at):
    """The cards from here to the end of the header, and where it ends; without an end, (None, ...)."""
    cards = {}
    while at + FITS_BLOCK <= len(data):
        lines = [data[i:i + 80].decode("latin-1") for i in range(at, at + FITS_BLOCK, 80)]
        cards |= {line[:8].strip(): line[10:].split("/")[0].strip() for line in lines if line[8:10] == "= "}
        at += FITS_BLOCK
        if any(line[:8] == "END     " for line in lines):
            return cards, at
    return None, at


RECIPES = (arrays, columns, nifti, fits, gunzipped)
