"""What a source gives: the files of its package that fit, each through a recipe, cut to the cap of its kind."""

import struct
import zipfile
import zlib

from corpus import recipes_numbers, recipes_pictures, recipes_r, recipes_sequences, recipes_sound, recipes_text
from corpus.limits import CAP
from corpus.packages import files, unpacked, warn

RECIPES = {recipe.__name__: recipe for module in (recipes_text, recipes_sequences, recipes_numbers, recipes_sound,
                                                  recipes_pictures, recipes_r) for recipe in module.RECIPES}


def documents(path, source):
    """All documents that a source takes from its package, in the order of their names."""
    recipe = RECIPES[source.recipe]
    found = sorted(files(path, source.patterns), key=lambda file: file[0])
    if source.recipe.startswith("r_"):
        found = r_pairs(found)
    for name, data in found:
        if isinstance(data, bytes):
            name, data = unpacked(name, data)
        try:
            for document in recipe(name, data):
                yield trim(document, source.kind)
        except (ValueError, KeyError, IndexError, struct.error, zlib.error, OSError, zipfile.BadZipFile) as error:
            warn(f"{source.package}: {name}: {error!r}")


def r_pairs(found):
    """R keeps its objects in two files that belong together, X.rdb and its index X.rdx, or in one, X.rda."""
    content = dict(found)
    for name, data in found:
        if name.endswith(".rda"):
            yield name, (data, None)
        elif name.endswith(".rdb") and name[:-1] + "x" in content:
            yield name, (data, content[name[:-1] + "x"])


def trim(document, kind):
    """At most what one file may give; text ends with a whole line."""
    cap = CAP.get(kind, 1 << 30)
    if len(document) <= cap:
        return document
    end = document.rfind(b"\n", 0, cap) + 1
    return document[:cap] if kind == "sensor" or end < cap // 2 else document[:end]
