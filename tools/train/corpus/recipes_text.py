"""Files that become text: a recipe gets the name and the bytes of a file and yields documents."""

import html
import re
import zlib


def plain(name, data):
    yield data


def html_text(name, data):
    """What a reader of the page would see, a blank line between blocks."""
    page = data.decode("utf-8", "replace")
    page = re.sub(r"(?is)<(script|style|head|nav)\b.*?</\1>|<!--.*?-->", " ", page)
    page = re.sub(r"(?i)</(p|h\d|div|table|ul|ol|dl|pre|blockquote)\s*>", "\n\n", page)
    page = re.sub(r"(?i)<(br|li|dt|dd|tr)\b[^>]*>", "\n", page)
    page = html.unescape(re.sub(r"<[^>]*>", "", page)).replace("\u00a0", " ")
    page = re.sub(r"[ \t]+\n", "\n", page)
    yield re.sub(r"\n{3,}", "\n\n", page).strip().encode() + b"\n"


def utf8(name, data):
    """Latin-1 text made UTF-8."""
    try:
        data.decode()
        yield data
    except UnicodeDecodeError:
        yield data.decode("latin-1").encode()


def quoted(name, data):
    """The longer strings in double quotes: the sentences of a game's script."""
    strings = re.findall(rb'"((?:[^"\\]|""|\\.){60,})"', data)
    yield b"\n".join(re.sub(rb'\s*\n\s*', b" ", s).replace(b'""', b'"').replace(b'\\"', b'"') for s in strings) + b"\n"


def backquoted(name, data):
    """The longer strings in backquotes or double quotes of an Endless Sky mission."""
    strings = re.findall(rb'[`"]([^`"\n]{60,})[`"]', data)
    yield b"\n".join(s.lstrip(b"\t") for s in strings) + b"\n"


def sword(name, data):
    """The blocks of a module of the Sword library (each a zlib stream), without markup."""
    text, at, rest = [], 0, memoryview(data)
    while at < len(data):
        try:
            block, length = inflate(rest[at:])
            text.append(block)
            at += length
        except zlib.error:
            at += 1
    yield from html_text(name, b"\n".join(text))


def inflate(rest):
    """The zlib stream at the start, decompressed, and its length; in pieces, so that what follows is not copied."""
    stream, out, used = zlib.decompressobj(), [], 0
    while used < len(rest) and not stream.eof:
        piece = rest[used:used + 16384]
        out.append(stream.decompress(piece))
        used += len(piece)
    return b"".join(out) + stream.flush(), used - len(stream.unused_data)


RECIPES = (plain, html_text, utf8, quoted, backquoted, sword)
