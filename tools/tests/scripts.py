#!/usr/bin/env python3
"""Runs the scripts of tools/ that no other part of tools/test runs, each for real and on something small.

    tools/tests/scripts.py --program PATH      PATH is bbp-stream, built

Packages of Debian are made here, and a few lines that copy them stand in for apt-get: no network is needed. What needs
NumPy or PyTorch runs with .venv and .venv-torch; where they are missing those tests are skipped, which is a failure
where the environment says CI=true.
"""
import argparse, gzip, json, lzma, os, shutil, struct, subprocess, sys, tempfile, unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import worktree
from worktree import ROOT

NUMPY = os.path.join(ROOT, ".venv", "bin", "python")
TORCH = os.path.join(ROOT, ".venv-torch", "bin", "python")
DATASETS = os.path.join(ROOT, "datasets")
program = None

# Every script that people may start, and what runs it.
RUN_BY = {
    "tools/bench": "tools/test, --short",
    "tools/checkpoints/make_large.py": "here",
    "tools/checkpoints/test.py": "tools/test",
    "tools/convert_checkpoint.py": "here and tools/checkpoints/test.py",
    "tools/evaluate": "tools/test, --quick",
    "tools/fuzz": "tools/test, --short",
    "tools/make_datasets": "here",
    "tools/make_fixtures": "here",
    "tools/quickstart": "tools/tests/quickstart.py, whole",
    "tools/read_page.py": "here and Tests/CommandLineTests/PageArticleTests.swift",
    "tools/reference.py": "tools/test",
    "tools/sanitize": "tools/test, --short",
    "tools/setup": "tools/test",
    "tools/test": "whoever reads this",
    "tools/tests/quickstart.py": "tools/test",
    "tools/tests/scripts.py": "tools/test",
    "tools/torture": "tools/test, --short",
    "tools/train/check.py": "here and tools/train/test.py; `gpu` compares with a GPU, which tests cannot ask for",
    "tools/train/data.py": "here",
    "tools/train/lengths.py": "here",
    "tools/train/make_corpus": "here, with one package",
    "tools/train/repeats.py": "here",
    "tools/train/sweep.py": "here",
    "tools/train/test.py": "tools/test",
    "tools/train/train.py": "tools/train/test.py and, of sweep.py, here",
}


def is_there(python, *modules):
    return subprocess.run([python, "-c", f"import {', '.join(modules)}"], capture_output=True).returncode == 0 \
        if os.path.exists(python) else False


needs_numpy = unittest.skipUnless(is_there(NUMPY, "numpy", "lmdb", "zstandard", "xxhash"), ".venv misses a package")
needs_torch = unittest.skipUnless(is_there(TORCH, "torch", "numpy"), "PyTorch is missing")


def read(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


def write(data, *path):
    path = os.path.join(*path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    return path


class Scripts(unittest.TestCase):
    maxDiff = 4000

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="scripts-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def run_(self, *command, status=0, **options):
        command = [str(word) for word in command]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)
        self.assertEqual(done.returncode, status, f"{command}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done

    def test_every_script_is_run(self):
        """A script that is new is told of above."""
        scripts = [path for path in worktree.files("tools/") if read(ROOT, path).startswith(b"#!")]
        self.assertEqual(scripts, sorted(RUN_BY))
        for path in scripts:
            self.assertTrue(os.access(os.path.join(ROOT, path), os.X_OK), f"{path} cannot be started")

    def test_the_tests(self):
        """tools/test goes on after a part that fails, counts, and takes what it skips for a failure where CI=true."""
        copy = os.path.join(self.folder, "copy")
        worktree.copy(copy, ("tools/test",))
        # Every part is replaced by a script that fails where its name is in FAILING, and there is no .venv at all.
        parts = ("setup", "make_datasets", "torture", "evaluate", "bench", "fuzz", "sanitize", "tests/scripts.py",
                 "tests/quickstart.py")
        stub = """#!/usr/bin/env python3
import os, sys
name = os.path.basename(sys.argv[0])
print("ran", name, *sys.argv[1:])
sys.exit(9 if name in os.environ.get("FAILING", "").split() else 0)
"""
        for path in [os.path.join(copy, "tools", name) for name in parts] + [os.path.join(self.folder, "bin", "swift")]:
            os.chmod(write(stub.encode(), path), 0o755)
        environment = {name: value for name, value in os.environ.items() if name != "CI"}
        environment["PATH"] = f"{self.folder}/bin:{environment['PATH']}"
        script = os.path.join(copy, "tools/test")

        def run(status, *arguments, **more):
            lines = self.run_(script, *arguments, status=status, env=environment | more).stdout.splitlines()
            return lines, lines[-1].split(", in ")[0]

        lines, last = run(0)
        self.assertEqual(last, "test: 10 passed, 0 failed")
        self.assertEqual(sum(line.startswith("test: skipped ") for line in lines), 3)
        self.assertEqual(sum(line.startswith("test: passed ") for line in lines), 10)
        self.assertEqual(run(1, CI="true")[1], "test: 10 passed, 3 failed")
        lines, last = run(1, FAILING="torture fuzz")
        self.assertEqual(last, "test: 8 passed, 2 failed")
        self.assertIn("ran quickstart.py", lines)
        # Without a build there is nothing to test.
        lines, last = run(1, FAILING="swift")
        self.assertEqual(last, "test: 2 passed, 1 failed")
        lines, last = run(0, "--filter", "GeometryTests")
        self.assertTrue(last.startswith("ran swift test ") and last.endswith(" --filter GeometryTests"), last)
        run(9, "--filter", "GeometryTests", FAILING="swift")

    # ---- packages ---------------------------------------------------------------------------------

    def package(self, name, version, files):
        """A Debian package with these files."""
        tree = os.path.join(self.folder, "trees", name)
        for path, data in files.items():
            write(data, tree, path)
        control = {"Package": name, "Version": version, "Architecture": "all", "Maintainer": "none <none@example.org>",
                   "Description": "test"}
        write("".join(f"{key}: {value}\n" for key, value in control.items()).encode(), tree, "DEBIAN", "control")
        archive = os.path.join(self.folder, "archive", f"{name}_{version.replace(':', '%3a')}_all.deb")
        os.makedirs(os.path.dirname(archive), exist_ok=True)
        self.run_("dpkg-deb", "--build", "--root-owner-group", tree, archive)
        return archive

    def with_archive(self):
        """An environment whose apt-get downloads from this folder's packages, and from nowhere else."""
        script = f"""#!/bin/sh
for word; do last=$word; done
package=${{last%%=*}}
cp {self.folder}/archive/"$package"_*.deb . 2>/dev/null && exit
echo "E: Unable to locate package $package" >&2
exit 100
"""
        path = write(script.encode(), self.folder, "bin", "apt-get")
        os.chmod(path, 0o755)
        return os.environ | {"PATH": f"{self.folder}/bin:{os.environ['PATH']}"}

    def test_make_datasets(self):
        names = ("stb_image", "stb_tilemap_editor", "stb_truetype", "stb_vorbis", "stb_voxel_render")
        parts = dict.fromkeys(names, b"") | {"stb_image": read(DATASETS, "stb.c")}
        self.package("libstb-dev", "0.0~git20220908.8b5f1f3+ds-1",
                     {f"usr/include/stb/{name}.h": data for name, data in parts.items()})
        book = "usr/share/go-1.19/src/testdata/Isaac.Newton-Opticks.txt"
        self.package("golang-1.19-src", "1.19.8-2", {book: b"another book"})
        copy = os.path.join(self.folder, "copy")
        worktree.copy(copy, ("tools/make_datasets", "datasets/"))
        script, made = os.path.join(copy, "tools/make_datasets"), os.path.join(copy, "datasets")
        self.assertEqual(self.run_(script).stdout.count("already there"), 4)
        self.assertEqual(self.run_(script, "--check").stdout.count("good"), 4)

        os.remove(os.path.join(made, "stb.c"))
        self.assertIn("stb.c: missing", self.run_(script, "--check", status=1).stdout)
        self.assertIn("stb.c: made from libstb-dev", self.run_(script, env=self.with_archive()).stdout)
        self.assertEqual(read(made, "stb.c"), read(DATASETS, "stb.c"))
        # What a package gives is not believed, and what it does not give is said.
        os.remove(os.path.join(made, "opticks.txt"))
        self.assertIn("not written", self.run_(script, env=self.with_archive(), status=1).stderr)
        self.assertFalse(os.path.exists(os.path.join(made, "opticks.txt")))
        write(read(DATASETS, "opticks.txt"), made, "opticks.txt")
        os.remove(os.path.join(made, "ecoli536.fna"))
        done = self.run_(script, env=self.with_archive(), status=1)
        self.assertIn("bowtie-examples could not be downloaded", done.stderr)

    @needs_numpy
    def test_make_corpus(self):
        book = read(DATASETS, "opticks.txt")
        pages = {f"page{number}": b".TH PAGE 7\n" + os.urandom(4000).hex().encode() for number in range(3)}
        # One page is the beginning of a file that is held out.
        pages["stolen"] = book[:20_000]
        self.package("manpages", "6.03-2", {f"usr/share/man/man7/{name}.7.gz": gzip.compress(text)
                                            for name, text in pages.items()})
        into = os.path.join(self.folder, "corpus")
        script = os.path.join(ROOT, "tools/train/make_corpus")
        command = [NUMPY, script, "--kind", "man", "--into", into, "--cache", os.path.join(self.folder, "cache")]
        done = self.run_(*command, env=self.with_archive())
        self.assertIn("1 near a held-out file", done.stdout)
        self.assertIn("manpages-dev cannot be fetched, and is left out", done.stderr.replace("=1.2", ""))
        lengths = struct.unpack("<3I", read(into, "man.lengths"))
        self.assertEqual(len(lzma.decompress(read(into, "man.xz"))), sum(lengths))
        report = json.loads(read(into, "corpus.json"))
        self.assertEqual([source["package"] for source in report["kinds"]["man"]["sources"]], ["manpages"])
        self.assertEqual(read(into, "heldout", "text", "opticks.txt"), book)
        self.assertIn("manpages", read(into, "SOURCES.md").decode())
        # The same again from the packages that are there; and the table alone.
        first = read(into, "man.xz")
        self.run_(*command, env=self.with_archive())
        self.assertEqual(read(into, "man.xz"), first)
        self.assertIn("held out: text/devil.txt", self.run_(NUMPY, script, "--list").stdout)

    # ---- fixtures and pages -----------------------------------------------------------------------

    @needs_numpy
    def test_make_fixtures(self):
        copy = os.path.join(self.folder, "copy")
        fixtures = ("Tests/Fixtures/single/", "Tests/Fixtures/seven/")
        worktree.copy(copy, ("tools/make_fixtures", "tools/reference", *fixtures))
        os.symlink(os.path.join(ROOT, ".venv"), os.path.join(copy, ".venv"))
        script = os.path.join(copy, "tools/make_fixtures")
        shutil.rmtree(os.path.join(copy, "Tests/Fixtures/single"))
        kept = os.stat(os.path.join(copy, "Tests/Fixtures/seven/config.json")).st_mtime_ns
        self.run_(script, "single")
        for name in os.listdir(os.path.join(ROOT, "Tests/Fixtures/single")):
            self.assertEqual(read(copy, "Tests/Fixtures/single", name), read(ROOT, "Tests/Fixtures/single", name), name)
        self.assertEqual(os.stat(os.path.join(copy, "Tests/Fixtures/seven/config.json")).st_mtime_ns, kept)
        self.assertIn("there is no case 'nowhere-at-all'", self.run_(script, "nowhere-at-all", status=64).stderr)

    @needs_numpy
    def test_reference_with_mixers(self):
        """--mixers takes JSON or a file of it; `check` follows config.json; what no model has is refused by name."""
        script = os.path.join(ROOT, "tools/reference.py")
        window = {"kind": "sliding-window", "num_heads": 2, "window": 3}
        mixers = json.dumps([window, {"kind": "monte-carlo"}, {"kind": "retention", "num_heads": 2}])
        case, other = os.path.join(self.folder, "case"), os.path.join(self.folder, "other")

        def make(folder, mixers, *more, status=0):
            return self.run_(NUMPY, script, "make", folder, "--tokens", 30, "--mixers", mixers, *more, status=status)

        make(case, mixers, "--layers", 3)
        make(other, write(mixers.encode(), self.folder, "mixers.json"), "--layers", 3)
        for name in os.listdir(case):
            self.assertEqual(read(case, name), read(other, name), name)
        self.run_(NUMPY, script, "check", case)
        write(read(case, "config.json").replace(b'"window": 3', b'"window": 4'), case, "config.json")
        self.run_(NUMPY, script, "check", case, status=1)
        both = json.loads(read(case, "config.json")) | {"mixer": window}
        write(json.dumps(both).encode(), case, "config.json")
        self.assertIn("both mixer and mixers", self.run_(NUMPY, script, "check", case, status=1).stderr)
        # Layer 2 may go without the weight of its norm, layer 0 has none.
        make(other, mixers, "--layers", 3, "--no-mixer-norm", "2")
        self.assertNotIn(b"mixer.norm", read(other, "model.safetensors"))
        self.assertIn("layer 0", make(other, mixers, "--layers", 3, "--no-mixer-norm", "0", status=1).stderr)

        for wrong, words in (
                ({"num_heads": 0}, "num_heads"), ({"num_heads": 3}, "needs head_dim"),
                ({"num_kv_heads": 3}, "num_kv_heads"), ({"dilation": [1, 2, 3]}, "3 dilations for 2 heads"),
                ({"causal": False}, "causal"), ({"global_tokens": [0]}, "global_tokens"),
                ({"width": 3}, "no width"), ({"kind": "widow"}, "'widow'"),
                ({"rope": {"base": 2}}, "no base"), ({"rope": {"layout": "third"}}, "layout"),
                ({"head_dim": 3, "rope": {}}, "heads of 3"),
                ({"head_dim": 2, "rope": {"spacing": "inclusive"}}, "heads of 2")):
            refusal = make(other, json.dumps(window | wrong), status=1).stderr
            self.assertIn(words, refusal)
            self.assertNotIn("Traceback", refusal)
        self.assertIn("3 mixers for 2 layers", make(other, mixers, status=1).stderr)
        self.assertIn("mixers.0", make(other, json.dumps({"kind": "retention"}), "--bidirectional", status=1).stderr)
        self.assertIn("neither a file nor JSON", make(other, "nowhere", status=2).stderr)

    @needs_numpy
    def test_read_page(self):
        data = read(DATASETS, "ecg208.u16")[:5000]
        store, out = os.path.join(self.folder, "store"), os.path.join(self.folder, "tokens.npy")
        self.run_(program, "ingest", write(data, self.folder, "in"), "--raw", "--store", store)
        script = os.path.join(ROOT, "tools/read_page.py")
        self.run_(NUMPY, script, store, 0, "--out", out)
        self.assertEqual(read(out)[128::2], data)
        path = os.path.join(store, "generation-0/data.mdb")
        pages = bytearray(read(path))
        at = pages.index(b"BBPG") + 64 + 32 * 32 + 10
        pages[at] ^= 1
        write(pages, path)
        self.run_(NUMPY, script, store, 0, "--out", out, status=65)

    # ---- training and checkpoints -----------------------------------------------------------------

    def test_repeats(self):
        path = write(b"abcdefghijklmnopqrst" * 100, self.folder, "again")
        lines = self.run_(sys.executable, os.path.join(ROOT, "tools/train/repeats.py"), path).stdout.splitlines()
        # All but the first twenty bytes, and twelve of context.
        self.assertEqual(lines[1].split(), ["again"] + ["98.4"] * 9)

    @needs_torch
    def test_checkpoints(self):
        checkpoint, model = os.path.join(self.folder, "large.pth"), os.path.join(self.folder, "model")
        make = os.path.join(ROOT, "tools/checkpoints/make_large.py")
        self.run_(TORCH, make, checkpoint, "--layers", 2, "--hidden", 32, "--intermediate", 48, "--kernel", 5)
        self.run_(TORCH, make, checkpoint, "--hidden", 12, status=64)
        self.run_(TORCH, os.path.join(ROOT, "tools/convert_checkpoint.py"), checkpoint, model)
        self.run_(program, "model", "info", model)
        text = write(read(DATASETS, "opticks.txt")[:3000], self.folder, "text")
        nll = os.path.join(self.folder, "nll.npy")
        self.run_(program, "score", text, "--model", model, "--nll", nll)
        self.assertEqual(len(read(nll)), 128 + 4 * 3000)

    @needs_torch
    def test_training(self):
        corpus, runs = os.path.join(self.folder, "corpus"), os.path.join(self.folder, "runs")
        data = read(DATASETS, "opticks.txt")
        write(lzma.compress(data[:60_000]), corpus, "text.xz")
        write(struct.pack("<2I", 40_000, 20_000), corpus, "text.lengths")
        write(data[100_000:104_000], corpus, "heldout", "text", "rest")
        train = os.path.join(ROOT, "tools/train")
        unpacked = os.path.join(self.folder, "unpacked")
        self.run_(TORCH, os.path.join(train, "data.py"), corpus, unpacked)
        self.assertTrue(os.path.exists(os.path.join(unpacked, "text.tokens.npy")))
        settings = (f"{train}/configs/nano.json --set hidden_size=32 num_attention_heads=2 num_hidden_layers=1 "
                    f"intermediate_size=32 --corpus {unpacked} --steps 2 --step-tokens 4096 --lengths 4096/32:1 "
                    "--device cpu")
        sweep = [TORCH, os.path.join(train, "sweep.py"), runs]
        done = self.run_(*sweep, f"slow={settings} --lr 1e-4", f"fast={settings} --lr 4e-3")
        self.assertEqual(sorted(line.split()[0] for line in done.stdout.splitlines()), ["fast", "slow"])
        self.assertEqual(self.run_(*sweep, "--table").stdout, done.stdout)
        self.assertIn("bad failed", self.run_(*sweep, f"bad={settings} --no-such-flag", status=1).stdout)
        lengths = self.run_(TORCH, os.path.join(train, "lengths.py"), os.path.join(runs, "fast"),
                            os.path.join(DATASETS, "opticks.txt"), "--bytes", 1 << 17)
        found = json.loads(lengths.stdout.splitlines()[-1])["bits per byte"]
        self.assertEqual(list(found), [str(1 << 16), str(1 << 17)])

    @needs_torch
    def test_check_without_gpu(self):
        script = os.path.join(ROOT, "tools/train/check.py")
        done = self.run_(TORCH, script, "gpu", status=1, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""})
        self.assertEqual(done.stderr.strip(), "there is no GPU to compare with")


def main():
    global program
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", required=True)
    options, rest = parser.parse_known_args()
    program = os.path.abspath(options.program)
    result = unittest.main(argv=[sys.argv[0], *rest], exit=False, verbosity=2).result
    if result.skipped and os.environ.get("CI") == "true":
        print("scripts: skipped tests are failures where CI=true", file=sys.stderr)
        return 1
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
