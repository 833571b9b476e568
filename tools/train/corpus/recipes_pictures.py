"""Pictures as raw pixels."""

import bz2
import random
import struct
import zlib

import numpy as np

CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # by PNG's colour type; a palette is not read
MOST_BYTES = 6_000_000


def picture(name, data):
    """The pixels of a PNG: raw, or behind the short header of a PGM or PPM file."""
    pixels = png(data)
    if pixels is None:
        return
    rng = random.Random(name)
    height, width, channels = pixels.shape
    if channels in (1, 3) and rng.random() < 0.4:
        yield b"P%d\n%d %d\n255\n" % (5 if channels == 1 else 6, width, height) + pixels.tobytes()
    else:
        yield pixels.tobytes()


def raw_planes(name, data):
    """scipy's face.dat and the like: a bz2 stream of pixels."""
    yield bz2.decompress(data) if data[:3] == b"BZh" else data


def png(data):
    """The pixels of an 8-bit PNG that is not interlaced and has no palette: rows, columns, channels."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        return None
    width, height, depth, colour, interlace, body = png_chunks(data)
    channels = CHANNELS.get(colour)
    if depth != 8 or channels is None or interlace or width * height * channels > MOST_BYTES:
        return None
    raw = np.frombuffer(zlib.decompress(body), np.uint8).reshape(height, 1 + width * channels)
    rows = [np.zeros((width + 1, channels), np.int32)]  # a row of zeros above, a column of zeros to the left
    for line in raw:
        rows.append(png_row(line[0], line[1:].reshape(width, channels).astype(np.int32), rows[-1]))
    return np.array(rows)[1:, 1:].astype(np.uint8)


def png_chunks(data):
    """Width, height, depth, colour type, interlacing, and the compressed pixels."""
    at, body = 8, []
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if name == b"IHDR":
            width, height, depth, colour, _, _, interlace = struct.unpack_from(">IIBBBBB", data, at + 8)
        elif name == b"IDAT":
            body.append(data[at + 8:at + 8 + length])
        at += 12 + length
    return width, height, depth, colour, interlace, b"".join(body)


def png_row(kind, line, above):
    """A row without the filter of this kind; `above` and the result have the column of zeros."""
    row = np.zeros_like(above)
    if kind == 0:
        row[1:] = line
    elif kind == 1:
        row[1:] = np.cumsum(line, axis=0) & 255
    elif kind == 2:
        row[1:] = (line + above[1:]) & 255
    else:
        unfilter = average if kind == 3 else paeth
        for channel in range(line.shape[1]):
            row[1:, channel] = unfilter(line[:, channel].tolist(), above[:, channel].tolist())
    return row


def average(line, above):
    left, result = 0, []
    for value, up in zip(line, above[1:]):
        left = (value + ((left + up) >> 1)) & 255
        result.append(left)
    return result


def paeth(line, above):
    left, result = 0, []
    for value, corner, up in zip(line, above, above[1:]):
        p, q, r = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
        left = (value + (left if p <= q and p <= r else up if q <= r else corner)) & 255
        result.append(left)
    return result


RECIPES = (picture, raw_planes)
