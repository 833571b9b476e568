"""The compressors that models are compared with: the common programs at their strongest usual settings, one file a run."""

import os
import shutil
import subprocess
import tempfile

# column: (names of the program, arguments before the file, Debian's package)
COMPRESSORS = {
    "gzip": (("gzip",), ("-9", "-n", "-c"), "gzip"),
    "bzip2": (("bzip2",), ("-9", "-c"), "bzip2"),
    "xz": (("xz",), ("-9e", "-T1", "-c"), "xz-utils"),
    "zstd": (("zstd",), ("--ultra", "-22", "-T1", "-q", "-c"), "zstd"),
    "brotli": (("brotli",), ("-q", "11", "-w", "24", "-c"), "brotli"),
    # From standard input, so that the archive holds neither the file's name nor its time.
    "PPMd": (("7z", "7zz"), ("a", "-t7z", "-m0=PPMd:o=16:mem=256m", "-mmt=1", "-bso0", "-bsp0", "-sidata"), "p7zip-full"),
}
SIZES = "Sizes are those of the whole compressed file, headers and checksums included; the 7z archive that PPMd is in " \
        "has about 110 bytes of them."


def program(column):
    """The compressor's program, or None where it is not installed."""
    return next(filter(None, map(shutil.which, COMPRESSORS[column][0])), None)


def describe():
    """{column: what runs, its version}, and a line for every program that is missing."""
    found, missing = {}, []
    for column, (names, arguments, package) in COMPRESSORS.items():
        if path := program(column):
            found[column] = {"command": " ".join((os.path.basename(path), *arguments)), "version": version(path)}
        else:
            missing.append(f"{names[0]} is not installed and the column {column} stays empty: apt install {package}")
    return found, missing


def version(path):
    """The first line that a program says about itself."""
    arguments = () if os.path.basename(path).startswith("7z") else ("--version",)
    said = subprocess.run([path, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    return next((line.strip() for line in (said.stdout + said.stderr).splitlines() if line.strip()), "")


def compressed_size(column, path):
    """Bytes that a file takes compressed; raises RuntimeError with what the program said where it fails."""
    command = [program(column), *COMPRESSORS[column][1]]
    with tempfile.TemporaryDirectory() as folder:
        target = os.path.join(folder, "compressed.7z")
        if column == "PPMd":
            with open(path, "rb") as file:
                done = subprocess.run([*command, target], stdin=file, capture_output=True)
        else:
            with open(target, "wb") as file:
                done = subprocess.run([*command, "--", path], stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.PIPE)
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines() or [""]
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {said[-1]}")
        return os.path.getsize(target)
