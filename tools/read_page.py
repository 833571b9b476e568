#!/usr/bin/env python3
"""Reads pages of a bbp-stream store with py-lmdb, zstandard, xxhash and NumPy alone.

Written from Sources/PageStore/PageStore.docc/PageFormat.md, not from the program: it checks that the article says enough.

    tools/read_page.py STORE GENERATION --out FILE.npy [--table states]

writes the whole generation in natural token order: uint16 [n] for generation 0, float32 [n, D] for states, float32 [n]
for surprisal. Every checksum is checked. Exit status 69 where a package is missing, 65 where the store is damaged.
"""
import argparse
import json
import struct
import sys

try:
    import lmdb
    import numpy as np
    import xxhash
    import zstandard
except ImportError as error:
    print(f"read_page: the Python package {error.name} is missing; tools/setup installs it", file=sys.stderr)
    sys.exit(69)

HEADER = struct.Struct("<4sHHQQQIIIIQQ")
ENTRY = struct.Struct("<QQ4I")
SIZES = {1: 2, 2: 2, 3: 4}


def check(condition, problem):
    if not condition:
        print(f"read_page: {problem}", file=sys.stderr)
        sys.exit(65)


def unfolded(data, count):
    """A plane of exponents from its folded form."""
    half = (count + 1) // 2
    whole = np.frombuffer(data, "u1")
    codes = np.concatenate([whole[1:1 + half] & 15, whole[1:1 + half] >> 4])[:count]
    check(len(codes) == count and len(whole) == 1 + half + np.count_nonzero(codes == 15), "a folded plane is of the wrong length")
    plane = whole[0] - codes
    plane[codes == 15] = whole[1 + half:]
    return plane.tobytes()


def column(page, entry, count, element, version):
    """The values of one column, [count], in the element's own number format."""
    offset, checksum, *planes = entry
    size = SIZES[element]
    merged = np.zeros(count, f"<u{size}")
    for p, stored in enumerate(planes[:size]):
        folded, stored = stored >> 31, stored & 0x7FFFFFFF
        data = page[offset:offset + stored]
        if folded:
            check(element != 1 and p == size - 1 and version > 1, f"plane {p} is folded")
            data = unfolded(zstandard.ZstdDecompressor().decompress(data, max_output_size=count + 1), count)
        elif stored < count:
            data = zstandard.ZstdDecompressor().decompress(data, max_output_size=count)
        check(len(data) == count, f"plane {p} has {len(data)} bytes, not {count}")
        merged |= np.frombuffer(data, "u1").astype(merged.dtype) << (8 * p)
        offset += stored
    if element != 1:
        merged = merged >> 1 | merged << (8 * size - 1)
    check(xxhash.xxh3_64_intdigest(merged.tobytes()) == checksum, "a column's checksum differs")
    return merged


def expand(values, element):
    """Token ids as they are, states and surprisal as float32."""
    if element == 1:
        return values
    return (values.astype("<u4") << 16).view("<f4") if element == 2 else values.view("<f4")


def block(page, number):
    """All rows of a page in natural order: [patches * columns, width]."""
    magic, version, element, _, stated, first, patches, columns, width, directory, length, checksum = HEADER.unpack_from(page)
    check(magic == b"BBPG" and version in (1, 2, 3), "not a page of format 1, 2 or 3")
    ordered = version == 3
    check(stated == number and length == len(page) and directory == (64 if ordered else 32) * columns, "the header contradicts the store")
    covered = page[:56] + page[64:64 + directory]
    check(xxhash.xxh3_64_intdigest(covered) == checksum, "the header's checksum differs")
    entries = [ENTRY.unpack_from(page, 64 + at) for at in range(0, directory, 32)]
    values = entries[::2] if ordered else entries
    rows = np.stack([expand(column(page, entry, patches * width, element, version), element).reshape(patches, width) for entry in values], 1)
    if ordered:
        tokens = np.stack([column(page, entry, patches, 1, version) for entry in entries[1::2]], 1)
        check((np.sort(tokens, 1) == np.arange(columns)).all(), "a patch's tokens are not all there")
        natural = np.empty_like(rows)
        np.put_along_axis(natural, tokens[:, :, None].astype(np.int64), rows, 1)
        rows = natural
    return first, rows.reshape(patches * columns, width)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store")
    parser.add_argument("generation", type=int)
    parser.add_argument("--table", default="states", choices=["states", "surprisal"])
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    with open(f"{arguments.store}/manifest.json", "rb") as file:
        text = file.read()
    manifest = json.loads(text)
    check(manifest["format"] == "bbp-stream store" and manifest["version"] in (1, 2, 3, 4), "not a store of format 1 to 4")
    if manifest["version"] > 2:
        stated = manifest["checksum"]
        computed = xxhash.xxh3_64_hexdigest(text.replace(stated.encode(), b"0" * 16))
        check(len(stated) == 16 and computed == stated, "the manifest's checksum differs")
    record = next((g for g in manifest["generations"] if g["index"] == arguments.generation), None)
    check(record and arguments.table in record["tables"], f"no {arguments.table} in generation {arguments.generation}")
    parts = []
    for supplement in [dict(record, first_block=0)] + record.get("supplements", []):
        check(supplement["first_block"] <= len(parts), f"block {len(parts)} is missing")
        # It begins with the last block of the environment before it, which more tokens came to.
        del parts[supplement["first_block"]:]
        environment = lmdb.open(f"{arguments.store}/{supplement['directory']}", max_dbs=4, readonly=True, lock=False)
        with environment.begin() as transaction:
            table = environment.open_db(arguments.table.encode(), transaction, create=False)
            for key, page in transaction.cursor(db=table):
                number, = struct.unpack(">Q", key)
                check(number == len(parts), f"block {len(parts)} is missing")
                first, rows = block(bytes(page), number)
                check(first == number * record["patches_per_block"], "a block does not begin where it should")
                parts.append(rows)
    check(parts, "the table is empty")
    values = np.concatenate(parts)[:manifest["tokens"]]
    check(len(values) == manifest["tokens"], "blocks are missing at the end")
    np.save(arguments.out, values[:, 0] if values.shape[1] == 1 else values)


if __name__ == "__main__":
    try:
        main()
    except (lmdb.Error, struct.error, zstandard.ZstdError, OSError, ValueError, KeyError) as error:
        check(False, f"{type(error).__name__}: {error}")
