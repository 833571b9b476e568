"""Runs `bbp-stream score` and reads what it says."""

import array
import ast
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile

from evaluation import samples

EXIT_DATA, EXIT_NO_INPUT, EXIT_SOFTWARE = 65, 66, 70


class Failure(Exception):
    """What stops the evaluation: the line to print and the exit status."""

    def __init__(self, status, problem):
        super().__init__(problem)
        self.status = status


class Program:
    """The program, and the options that all its runs have."""

    def __init__(self, path, memory=None, threads=None):
        self.path = path
        self.options = [*(("--memory", memory) if memory else ()), *(("--threads", str(threads)) if threads else ())]

    def describe(self):
        return {"path": samples.shown(self.path), "sha256": samples.digest(self.path), "options": self.options}

    def score(self, path, model, nll=None):
        """{fingerprint, bits, seconds} of a file; `nll` names the file that takes the bits of every byte."""
        command = [self.path, "score", path, "--model", model, "--json", *(("--nll", nll) if nll else ()), *self.options]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines() or ["nothing was said"]
            raise Failure(EXIT_SOFTWARE, f"{' '.join(command)} ended with {done.returncode}: {said[-1]}")
        try:
            report = json.loads(done.stdout)
            file, = report["files"]
            size, bits = int(file["bytes"]), float(file["bits"])
            result = {"fingerprint": str(report["fingerprint"]), "bits": bits, "seconds": float(report["seconds"])}
        except (ValueError, TypeError, KeyError) as error:
            raise Failure(EXIT_SOFTWARE, f"{' '.join(command)}: what it printed is not as expected ({error!r})") from None
        if size != os.path.getsize(path) or not math.isfinite(bits) or bits < 0:
            problem = f"{os.path.getsize(path)} bytes; score says {size}, in {bits} bits"
            raise Failure(EXIT_SOFTWARE, f"{samples.shown(path)} has {problem}")
        return result

    def costs(self, path, model):
        """What `score` says, and the bits of every byte of the file as an array."""
        with tempfile.TemporaryDirectory() as folder:
            nll = os.path.join(folder, "nll.npy")
            result = self.score(path, model, nll)
            costs = read_npy(nll)
        if len(costs) != os.path.getsize(path):
            raise Failure(EXIT_SOFTWARE, f"score --nll wrote {len(costs)} values for the bytes of {samples.shown(path)}")
        total = math.fsum(costs)
        # What ends a document may count in one and not in the other, and sums of float32 are only so good.
        if not abs(total - result["bits"]) <= 64 + 1e-3 * result["bits"]:
            problem = f"score says {result['bits']} bits, and its --nll adds up to {total}"
            raise Failure(EXIT_SOFTWARE, f"{samples.shown(path)}: {problem}")
        return result, costs

    def fingerprint(self, model):
        """The fingerprint of a model, from scoring a few bytes."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"a few bytes\n")
            file.flush()
            return self.score(file.name, model)["fingerprint"]


def read_npy(path):
    """A NumPy file of one row of float32, without NumPy."""
    with open(path, "rb") as file:
        start = file.read(8)
        length = int.from_bytes(file.read(2 if start[6:7] == b"\x01" else 4), "little")
        header = ast.literal_eval(file.read(length).decode("latin-1"))
        values = array.array("f", file.read())
    if start[:6] != b"\x93NUMPY" or header["descr"] != "<f4" or header["shape"] != (len(values),):
        raise Failure(EXIT_DATA, f"{path}: not one row of float32")
    if sys.byteorder == "big":
        values.byteswap()
    return values


def masked_sum(costs, mask):
    """The sum of the costs where the mask is not 0."""
    return math.fsum(itertools.compress(costs, mask))
