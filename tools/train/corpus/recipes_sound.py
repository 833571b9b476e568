"""Sound recordings without their headers."""

import io
import random
import struct
import wave


def sample(name, data):
    """The samples of a WAV file, without its header."""
    try:
        with wave.open(io.BytesIO(data)) as file:
            yield file.readframes(file.getnframes())
    except (wave.Error, EOFError):
        return


def soundfont(name, data):
    """16-bit samples of a SoundFont: pieces of 400,000 bytes from all over."""
    start = data.find(b"smpl")
    size = struct.unpack_from("<I", data, start + 4)[0]
    rng = random.Random(name)
    for _ in range(12):
        at = start + 8 + 2 * rng.randrange(max(1, (size - 400_000) // 2))
        yield data[at:at + 400_000]


def patch(name, data):
    """A GUS patch: what follows its headers, 16-bit samples."""
    yield data[500 - 500 % 2:][:200_000]


RECIPES = (sample, soundfont, patch)
