"""Debian packages: fetched once, read without being installed."""

import bz2
import fnmatch
import gzip
import io
import lzma
import os
import subprocess
import sys
import tarfile
import zipfile
import zlib


def warn(message):
    print(f"make_corpus: warning: {message}", file=sys.stderr)


class Cache:
    """A folder of .deb files; what is not there yet is downloaded."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)

    def fetch(self, package, version):
        """The path of the package's .deb and its version, or (None, None)."""
        name = self.find(package, version)
        if name is None and (self.download(f"{package}={version}") or self.download(package, last=True)):
            name = self.find(package, version) or self.find(package)
        if name is None:
            return None, None
        found = version_of(name)
        if found != version:
            warn(f"{package} is version {found} here, not {version}; the corpus will differ")
        return os.path.join(self.folder, name), found

    def find(self, package, version=None):
        """The file name of this version, or of the last there is."""
        names = sorted(n for n in os.listdir(self.folder) if n.startswith(package + "_") and n.endswith(".deb"))
        return next((n for n in reversed(names) if version in (None, version_of(n))), None)

    def download(self, wanted, last=False):
        done = subprocess.run(["apt-get", "download", "-q", wanted], cwd=self.folder, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True)
        if last and done.returncode:
            warn(f"{wanted} cannot be fetched, and is left out: {done.stderr.strip().splitlines()[-1:]}")
        return done.returncode == 0


def version_of(name):
    return name.split("_")[1].replace("%3a", ":")


def unpacked(name, data):
    """Without the compression that the name tells of, and the name without it."""
    for suffixes, open_ in (((".gz", ".dz", ".svgz"), gzip.decompress), ((".bz2",), bz2.decompress),
                            ((".xz",), lzma.decompress)):
        if name.endswith(suffixes):
            try:
                return name.rsplit(".", 1)[0], open_(data)
            except (OSError, EOFError, lzma.LZMAError, zlib.error):
                return name, data
    return name, data


def files(path, patterns):
    """Names and bytes of the files of a package that match; 'archive!pattern' looks into a tar or zip in it."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", path], stdout=subprocess.PIPE) as process:
        with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
            yield from in_tar(tar, patterns)


def in_tar(tar, patterns):
    here = [p for p in patterns if "!" not in p]
    inside = [p.split("!", 1) for p in patterns if "!" in p]
    for member in tar:
        if not member.isfile():
            continue
        name = member.name.removeprefix("./")
        within = [p for archive, p in inside if fnmatch.fnmatchcase(name, archive)]
        if within:
            yield from in_archive(tar.extractfile(member), name, within)
        elif matches(name, here):
            yield name, tar.extractfile(member).read()


def in_archive(file, name, patterns):
    if name.endswith((".zip", ".jar")):
        with zipfile.ZipFile(io.BytesIO(file.read())) as archive:
            for inner in archive.namelist():
                if matches(inner, patterns):
                    yield inner, archive.read(inner)
        return
    with tarfile.open(fileobj=file, mode="r|*") as archive:
        yield from in_tar(archive, patterns)


def matches(name, patterns):
    """Whether a pattern fits; one that begins with '-' takes away."""
    kept = any(fnmatch.fnmatchcase(name, p) for p in patterns if not p.startswith("-"))
    return kept and not any(fnmatch.fnmatchcase(name, p[1:]) for p in patterns if p.startswith("-"))
