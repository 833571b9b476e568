"""Every source of the training corpus: which files of which package, the most to take of them, and how.

The lines stand in sources_KIND.py: the package; which files of it ('archive!files' for a tar or zip within it, a
pattern that begins with '-' takes away); the most to take in thousands of bytes; the licence in short; and the recipe
that turns a file into documents, `plain` if none is named. All packages are Debian 12's, of the versions in
versions.py.
"""

from collections import namedtuple

from corpus import (sources_code, sources_man, sources_nucleotides, sources_other, sources_sensor, sources_tables,
                    sources_text)
from corpus.versions import VERSIONS

Source = namedtuple("Source", "kind package version patterns limit recipe licence")


def table(kind, lines):
    return [Source(kind, package, VERSIONS[package], patterns.split(), limit * 1000, recipe[0] if recipe else "plain",
                   licence) for package, patterns, limit, licence, *recipe in lines]


SOURCES = [source for kind, module in (("text", sources_text), ("code", sources_code), ("man", sources_man),
                                       ("nucleotides", sources_nucleotides), ("tables", sources_tables),
                                       ("sensor", sources_sensor), ("other", sources_other))
           for source in table(kind, module.LINES)]
