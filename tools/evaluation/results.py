"""The JSON file of results: what is in it is not measured again while file, model and command are the same."""

import json
import os

from evaluation import samples
from evaluation.scoring import EXIT_DATA, Failure

FORMAT = 1


class Results:
    """`data` is what the file holds; `save` writes it, if there is a file."""

    def __init__(self, path, cut, again):
        self.path, self.again = path, again
        self.data = {"format": FORMAT, "cut": cut, "files": [], "length": {}}
        if not path or not os.path.exists(path):
            return
        try:
            with open(path) as file:
                data = json.load(file)
            if data["format"] != FORMAT or not isinstance(data["files"], list) or not isinstance(data["length"], dict):
                raise ValueError("of another format")
        except (ValueError, KeyError, TypeError) as error:
            raise Failure(EXIT_DATA, f"{path}: not results of this program ({error}); name another file") from None
        if data["cut"] != cut:
            raise Failure(EXIT_DATA, f"{path}: holds results {'with' if data['cut'] else 'without'} --quick; name another")
        self.data = data

    def save(self):
        if self.path:
            with open(self.path + ".partial", "w") as file:
                json.dump(self.data, file, indent=1)
                file.write("\n")
            os.replace(self.path + ".partial", self.path)

    def take_versions(self, compressors):
        """Forgets sizes by compressors whose command or version is not that of now."""
        before = self.data.get("compressors", {})
        for column, now in compressors.items():
            if before.get(column) != now:
                for entry in self.data["files"]:
                    entry["compressed"].pop(column, None)
        self.data["compressors"] = before | compressors

    def file(self, path, kind):
        """The entry of a file: the one that is there if the file is the same, or a new one."""
        status, name = os.stat(path), samples.shown(path)
        identity = {"path": name, "size": status.st_size, "modified": status.st_mtime_ns}
        entry = next((entry for entry in self.data["files"] if entry["path"] == name), None)
        if entry is None or self.again or any(entry[key] != value for key, value in identity.items()):
            self.data["files"] = [other for other in self.data["files"] if other is not entry]
            entry = identity | {"bases": None, "compressed": {}, "models": {}}
            self.data["files"].append(entry)
        entry["kind"] = kind
        entry["bytes"] = min(status.st_size, self.data["cut"] or status.st_size)
        return entry

    def length(self, path, model, fingerprint):
        """The runs of a model at growing lengths: those that are there if file and model are the same, or none."""
        status = os.stat(path)
        identity = {"path": samples.shown(path), "size": status.st_size, "modified": status.st_mtime_ns,
                    "fingerprint": fingerprint}
        record = self.data["length"].get(model)
        if record is None or self.again or any(record[key] != value for key, value in identity.items()):
            record = self.data["length"][model] = identity | {"runs": []}
        return record
