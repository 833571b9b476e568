#!/usr/bin/env python3
"""How far back a file repeats itself, and so how long patches should be.

    tools/train/repeats.py FILE...      of each file's first 400 000 bytes

The share of bytes, in percent, that the last occurrence of the twelve bytes before them predicts, where that occurrence lies
within a distance.
"""
import sys
from pathlib import Path

CONTEXT, MOST = 12, 400_000
DISTANCES = [256, 512, 1024, 2048, 4096, 8192, 16_384, 65_536, MOST]


def repeats(data):
    """[distances] shares of the bytes of `data`."""
    last, found = {}, [0] * len(DISTANCES)
    for place in range(CONTEXT, len(data)):
        context = data[place - CONTEXT : place]
        before = last.get(context)
        if before is not None and data[before] == data[place]:
            for index, distance in enumerate(DISTANCES):
                found[index] += place - before <= distance
        last[context] = place
    return [count / len(data) for count in found]


def main():
    print(f"{'file':20}" + "".join(f"{distance:>8}" for distance in DISTANCES))
    for path in map(Path, sys.argv[1:]):
        print(f"{path.name:20}" + "".join(f"{100 * share:8.1f}" for share in repeats(path.read_bytes()[:MOST])))


if __name__ == "__main__":
    main()
