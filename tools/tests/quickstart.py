#!/usr/bin/env python3
"""Runs tools/quickstart whole, in a clean copy of the work tree, and again with other files.

    tools/tests/quickstart.py [--here]      --here: in this work tree, which is built already
"""
import argparse, os, shlex, struct, subprocess, sys, tempfile, unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import worktree

# The closing words, last of all.
LAST = "Next, score your own files:"
root = None


def quickstart(*arguments, **options):
    # The caller's folder is another one, as it may be.
    return subprocess.run([os.path.join(root, "tools", "quickstart"), *arguments], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/", **options)


class Quickstart(unittest.TestCase):
    def whole(self, result, tokens):
        """It ran to its last words, and what they tell of is there."""
        self.assertEqual(result.returncode, 0, result.stdout[-2000:] + result.stderr[-2000:])
        lines = result.stdout.splitlines()
        self.assertEqual(lines[-2], LAST)
        program, *rest = shlex.split(lines[-1])
        self.assertEqual(rest, ["score", "FILE..."])
        self.assertTrue(os.access(program, os.X_OK), program)
        for step in ("score", "ingest", "forward", "dump", "export", "verify"):
            self.assertIn(f"\n$ bbp-stream {step} ", result.stdout)
        made = os.path.join(root, ".quickstart")
        self.assertIn(f"To look at, in {made}:", lines)
        self.assertEqual(sorted(os.listdir(made)), ["nll.npy", "states.npy", "store"])
        self.assertEqual(self.shape("nll.npy"), f"({tokens},)")
        self.assertEqual(self.shape("states.npy"), f"({min(tokens - 2, 1000)}, 128)")

    def shape(self, name):
        with open(os.path.join(root, ".quickstart", name), "rb") as file:
            self.assertEqual(file.read(8), b"\x93NUMPY\x01\x00")
            header = file.read(*struct.unpack("<H", file.read(2))).decode()
        return header.split("'shape': ")[1].split(", }")[0]

    def test_1_default(self):
        size = os.path.getsize(os.path.join(root, "datasets", "opticks.txt"))
        self.whole(quickstart(), size + 2)

    def test_2_other_files(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, data in (("one", b"x"), ("my own file's name.txt", b"It was a dark night. " * 300)):
                path = os.path.join(folder, name)
                with open(path, "wb") as file:
                    file.write(data)
                with self.subTest(name):
                    self.whole(quickstart(path), len(data) + 2)

    def test_3_what_is_no_file(self):
        with tempfile.TemporaryDirectory() as folder:
            empty = os.path.join(folder, "empty")
            open(empty, "w").close()
            for path, word in ((f"{folder}/none", "is not a file"), (f"{folder}/none/at/all", "is not a file"),
                               (folder, "is not a file"), ("/dev/null", "is not a file"), (empty, "is empty")):
                with self.subTest(path):
                    result = quickstart(path)
                    self.assertEqual(result.returncode, 66, result.stderr)
                    self.assertIn(word, result.stderr)
                    self.assertEqual(result.stdout, "")
        self.assertEqual(quickstart("a", "b").returncode, 64)

    def test_4_a_step_that_fails(self):
        """Its status is the script's, and nothing is said to be there."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "file")
            with open(path, "w") as file:
                file.write("text")
            result = quickstart(path, env=os.environ | {"BBP_KERNELS": "none"})
            self.assertEqual(result.returncode, 64, result.stdout + result.stderr)
            self.assertNotIn(LAST, result.stdout)


def main():
    global root
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--here", action="store_true", help="in this work tree")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="quickstart-") as folder:
        root = worktree.ROOT
        if not options.here:
            root = os.path.join(folder, "clean copy")
            worktree.copy(root)
        found = unittest.main(argv=sys.argv[:1], exit=False, failfast=True)
    return 0 if found.result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
