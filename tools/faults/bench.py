"""The bench of tools/torture: small runs, what comes of them undisturbed, and the program under faults."""
import glob, hashlib, json, os, random, re, shutil, subprocess, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def newest_program():
    built = [p for p in glob.glob(f"{ROOT}/.build/*/bbp-stream") if os.access(p, os.X_OK) and os.path.isfile(p)]
    if not built:
        sys.exit("torture: build the program first: swift build -c release")
    return max(built, key=os.path.getmtime)


def build_faults(folder):
    """Compiles the library that makes calls fail."""
    library = f"{folder}/faults.so"
    for compiler in (os.environ.get("CC"), "clang", "cc", "gcc"):
        if compiler and shutil.which(compiler):
            subprocess.run([compiler, "-O1", "-Wall", "-shared", "-fPIC", "-o", library, f"{HERE}/faults.c", "-ldl", "-pthread"], check=True)
            return library
    print("torture: no C compiler", file=sys.stderr)
    sys.exit(69)


class Scene:
    """A small run: a store of tokens, a model, a command, and what comes of it undisturbed."""

    def __init__(self, bench, name, tokens, model, flags, on_disk=True, least=False):
        self.bench, self.name, self.folder = bench, name, f"{bench.folder}/{name}"
        os.mkdir(self.folder)
        data = random.Random(name).randbytes(tokens)
        with open(f"{self.folder}/input", "wb") as file:
            file.write(data)
        patch = model[model.index("--patch-size") + 1]
        bench.must("ingest", f"{self.folder}/input", "--store", f"{self.folder}/tokens", "--patch-size", patch)
        bench.must("model", "init", f"{self.folder}/model", *model)
        self.flags = list(flags)
        if on_disk:
            # The least memory that works, so that states are on disk and commits are many.
            refused = bench.run(["forward", "--store", f"{self.folder}/tokens", "--model", f"{self.folder}/model", "--memory", "1MiB", *flags])
            memory = int(re.search(r"least that works here is (\d+)MiB", refused.stderr).group(1))
            self.flags += ["--memory", f"{memory + (0 if least else 1)}MiB"]
        self.fresh()
        began = time.time()
        result = bench.run(self.command())
        self.seconds = time.time() - began
        if result.returncode:
            sys.exit(f"torture: the undisturbed run failed: {result.stderr}")
        self.wanted = self.outcome()

    @property
    def store(self):
        return f"{self.folder}/store"

    def command(self):
        return ["forward", "--store", self.store, "--model", f"{self.folder}/model", "--nll", f"{self.folder}/nll.npy", "--force", "--threads", "2", *self.flags]

    def fresh(self):
        """The store as it was before any run."""
        shutil.rmtree(self.store, ignore_errors=True)
        shutil.copytree(f"{self.folder}/tokens", self.store)
        for left in glob.glob(f"{self.folder}/nll.npy*"):
            os.remove(left)

    def outcome(self):
        """Everything a run leaves behind, file by file; but the names that generations are given anew in every run, and what
        nobody can prove to be a leftover: a folder that the manifest does not name, whose environment cannot be read."""
        manifest = json.load(open(f"{self.store}/manifest.json"))
        names = [manifest["checksum"]] + [generation["id"] for generation in manifest["generations"]]
        folders = {generation["directory"]: f"generation-{generation['index']}" for generation in manifest["generations"]}
        digests = {}

        def content(path):
            data = open(path, "rb").read()
            for name in names:
                data = data.replace(name.encode(), b"0" * len(name))
            if path.endswith("manifest.json"):
                for name, plain in folders.items():
                    data = data.replace(f'"{name}"'.encode(), f'"{plain}"'.encode())
            return data

        for folder, _, files in os.walk(self.store):
            inside = os.path.relpath(folder, self.store)
            if inside.startswith("generation-") and inside not in folders:
                continue
            for name in files:
                if name != "lock":
                    path = os.path.join(folder, name)
                    digests[os.path.join(folders.get(inside, inside), name)] = hashlib.sha256(content(path)).hexdigest()
        digests["nll.npy"] = hashlib.sha256(open(f"{self.folder}/nll.npy", "rb").read()).hexdigest()
        return digests

    def pages(self):
        """The states of every generation, by value: LMDB's own pages may lie differently where a commit fell elsewhere."""
        digests = []
        for generation in json.load(open(f"{self.store}/manifest.json"))["generations"]:
            index = str(generation["index"])
            result = self.bench.run(["export", "--store", self.store, "--generation", index, "--out", f"{self.folder}/states.npy"])
            digests.append((index, result.returncode, hashlib.sha256(open(f"{self.folder}/states.npy", "rb").read()).hexdigest() if result.returncode == 0 else result.stderr))
        return digests

    def check(self, what, failures):
        """Runs the command undisturbed and compares. Returns whether the files are the same byte for byte."""
        result = self.bench.run(self.command())
        if result.returncode:
            failures.append(f"{what}: going on failed with {result.returncode}: {result.stderr.strip()[-400:]}")
            return False
        found = self.outcome()
        if found == self.wanted:
            return True
        different = sorted(k for k in found.keys() | self.wanted.keys() if found.get(k) != self.wanted.get(k))
        if any(not name.endswith("data.mdb") for name in different) or self.pages() != self.wanted_pages():
            failures.append(f"{what}: {', '.join(different)} differ")
        return False

    def wanted_pages(self):
        if not hasattr(self, "kept"):
            disturbed = f"{self.folder}/disturbed"
            os.rename(self.store, disturbed)
            self.fresh()
            self.bench.must(*self.command())
            self.kept = self.pages()
            shutil.rmtree(self.store)
            os.rename(disturbed, self.store)
        return self.kept


class Bench:
    def __init__(self, folder, program):
        self.folder, self.program = folder, program
        self.library = build_faults(folder)

    def run(self, arguments, **fault):
        environment = dict(os.environ)
        if fault:
            environment["LD_PRELOAD"] = self.library
            environment.update({f"FAULT_{key.upper()}": str(value) for key, value in fault.items()})
        try:
            return subprocess.run([self.program, *arguments], capture_output=True, text=True, env=environment, timeout=300)
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(arguments, -999, "", "it hangs")

    def must(self, *arguments):
        result = self.run(arguments)
        if result.returncode:
            sys.exit(f"torture: {' '.join(arguments)}: {result.stderr}")
        return result


def scenes(bench, short):
    wide = ["--hidden-size", "64", "--heads", "2", "--patch-size", "16", "--kernel-size", "3", "--intermediate-size", "64"]
    small = ["--hidden-size", "16", "--heads", "2", "--patch-size", "8", "--kernel-size", "5", "--layers", "3"]
    family = ["--hidden-size", "32", "--heads", "2", "--patch-size", "16", "--layers", "1", "--recurrence", "2", "--tcn", "3:24,2x5:32"]
    mixed = ["--hidden-size", "16", "--heads", "2", "--patch-size", "16", "--kernel-size", "3", "--intermediate-size", "16", "--mixers"]
    tiny = ["--hidden-size", "8", "--heads", "2", "--patch-size", "8", "--kernel-size", "3", "--layers", "2"]
    made = [
        Scene(bench, "tiny", 700, tiny, ["--state", "bf16"], least=True),
        Scene(bench, "bf16", 20_000 if short else 40_000, wide + ["--layers", "3"], ["--state", "bf16"]),
        Scene(bench, "selective", 10_000 if short else 30_000, family + ["--delegation", "selective", "--bidirectional"], ["--state", "f32", "--keep", "all"]),
        Scene(bench, "f32", 12_000 if short else 20_000, wide + ["--layers", "2"], ["--state", "f32", "--keep", "all"]),
        # Two passes, the first of three layers; and one pass that stores no states.
        Scene(bench, "hybrid", 100_000 if short else 150_000, mixed + ["m,w:60x2,r,m"], ["--state", "bf16"]),
        Scene(bench, "streaming", 120_000 if short else 200_000, mixed + ["w:60,r,w:30x5"], []),
    ]
    if not short:
        made += [
            Scene(bench, "carlo", 30_000, family + ["--delegation", "monte-carlo"], ["--keep", "all"]),
            Scene(bench, "small", 5_000, small, ["--state", "f32"]),
            Scene(bench, "none", 20_000, wide + ["--layers", "2"], ["--keep", "none"]),
            Scene(bench, "memory", 20_000, wide + ["--layers", "3"], ["--memory", "1GiB"], on_disk=False),
        ]
    return made
