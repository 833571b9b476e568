#!/usr/bin/env python3
"""Training, small and on the processor: the model against the fixtures, a run that is stopped and goes on, and what it exports.

    tools/train/test.py PROGRAM     PROGRAM is bbp-stream
"""
import json
import lzma
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch

import checkpoint
from attention import Sight, attend, contexts
from corpus.windows import Seen, bare, reverse_complement, windows
from data import Corpus, document
from model import BOS, EOS, Config, Proton, bits_of, surprisal
from muon import orthogonalized
from train import lengths

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
PROGRAM = ""


def run(*command, status=0):
    outcome = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if outcome.returncode != status:
        raise AssertionError(f"{command} ended with {outcome.returncode}:\n{outcome.stdout}{outcome.stderr}")
    return outcome.stdout


class Training(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def corpus(self):
        """Two kinds of a few documents, and a held-out file of each, cut out of the sample files."""
        texts = {"text": (TOP / "datasets/opticks.txt").read_bytes(), "sensor": (TOP / "datasets/ecg208.u16").read_bytes()}
        for kind, data in texts.items():
            lengths = [30_000, 1, 20_000, 40_000]
            (self.folder / f"{kind}.xz").write_bytes(lzma.compress(data[: sum(lengths)]))
            np.array(lengths, "<u4").tofile(self.folder / f"{kind}.lengths")
            (self.folder / "heldout" / kind).mkdir(parents=True)
            (self.folder / "heldout" / kind / "rest").write_bytes(data[100_000:110_000])
        return texts

    def test_fixtures(self):
        """One published model and three members of the family, to float32 rounding."""
        cases = [TOP / "Tests/Fixtures" / name for name in ("deep", "ragged", "recurrent-stack", "nowhere")]
        self.assertEqual(run(sys.executable, HERE / "check.py", "fixtures", *cases).count("agrees"), len(cases))

    def test_corpus(self):
        texts = self.corpus()
        corpus = Corpus(self.folder)
        tokens = corpus.tokens["text"]
        self.assertEqual(len(tokens), 90_001 + 8)
        self.assertEqual(corpus.starts["text"].tolist(), [0, 30_002, 30_005, 50_007])
        self.assertEqual(tokens[:3].tolist(), [BOS, *texts["text"][:2]])
        self.assertEqual(tokens[30_001:30_006].tolist(), [EOS, BOS, texts["text"][30_000], EOS, BOS])
        random = np.random.default_rng(1)
        batch = corpus.batch(1 << 16, 1 << 14, random)
        self.assertEqual(batch.shape, (4, 1 << 14))
        # Longer than all there is of a kind: cuts are put together.
        self.assertEqual(corpus.batch(1 << 18, 1 << 18, random).shape, (1, 1 << 18))
        self.assertEqual(document(self.folder / "heldout/text/rest", 5).tolist(), [BOS, *texts["text"][100_000:100_005]])

    def test_held_out(self):
        """What repeats a held-out file is found wherever it begins, in lines of any width and on either strand; what does not is not."""
        book = (TOP / "datasets/opticks.txt").read_bytes()
        genome = (TOP / "datasets/ecoli536.fna").read_bytes()
        seen = Seen()
        seen.add(windows(book[:200_000]))
        sequence = bare("nucleotides", genome[:100_000])
        for strand in (sequence, reverse_complement(sequence)):
            seen.add(windows(strand))
        self.assertGreater(seen.share(windows(b"another beginning " + book[77_777:97_777] + book[300_000:320_000])), 0.3)
        self.assertLess(seen.share(windows(book[300_000:400_000])), 0.02)
        turned = reverse_complement(sequence[20_001:60_000]).lower()
        lines = b">title\n" + b"".join(turned[first : first + 61] + b"\n" for first in range(0, len(turned), 61))
        self.assertGreater(seen.share(windows(bare("nucleotides", lines))), 0.9)
        self.assertLess(seen.share(windows(bare("nucleotides", b">title\n" + genome[500_000:600_000]))), 0.02)

    def test_group(self):
        """Two processes average their gradients and agree with the first one."""
        script = self.folder / "pair.py"
        script.write_text(f"import sys; sys.path.insert(0, {str(HERE)!r})\n" + """
import torch
from group import Group
group = Group("cpu")
gradients = [torch.full((2, 3), 1.0 + group.rank), torch.arange(4.0) * group.rank]
group.average(gradients)
assert gradients[0].eq(1.5).all() and gradients[1].tolist() == [0, 0.5, 1, 1.5], gradients
assert list(group.agree(group.rank + 7.0, 0)) == [7, 0]
print("agreed")
group.close()
""")
        self.assertEqual(run(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", 2, script).count("agreed"), 2)

    def test_batches(self):
        """A sequence's surprisal does not depend on those beside it, nor on what comes after a token."""
        torch.manual_seed(0)
        model = Proton(Config(32, 2, 2, 16, 32, 3)).eval()
        torch.nn.init.normal_(model.head)
        tokens = torch.randint(0, 256, (3, 96))
        with torch.no_grad():
            together = bits_of(model, tokens)
            for row, bits in zip(tokens, together):
                torch.testing.assert_close(surprisal(model, row)[1:], bits, rtol=0, atol=1e-4)
            changed = tokens.clone()
            changed[:, 50] ^= 1
            torch.testing.assert_close(bits_of(model, changed)[:, :49], together[:, :49], rtol=0, atol=1e-4)
            self.assertFalse(torch.equal(bits_of(model, changed)[:, 50:], together[:, 50:]))

    def test_delegates(self):
        """Attention without delegates is that of own rows alone."""
        torch.manual_seed(0)
        qkv = torch.randn(2, 32, 3 * 16)
        q, k, v = qkv.view(2, 32, 3, 2, 8).permute(2, 0, 3, 1, 4)
        wanted = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(2, 32, 16)
        rows, place, sight = contexts(64, 32, 64, False, "cpu")
        self.assertEqual(rows.flatten().tolist(), list(range(64)))
        torch.testing.assert_close(attend(qkv, 2, sight), wanted)

    def test_wiring(self):
        """The toy of Model.md, twice: patch 0 receives tokens 1, 5, 9, 2, counted from 1, and contexts are in the order of origins."""
        rows, place, sight = contexts(24, 4, 12, True, "cpu")
        self.assertEqual(rows.shape, (6, 8))
        self.assertEqual(sorted(row - 24 for row in rows[0].tolist() if row >= 24), [0, 1, 4, 8])
        self.assertEqual(rows[3].tolist(), [row + 12 for row in rows[0].tolist()])
        self.assertEqual(rows.flatten()[place].tolist(), list(range(48)))
        # Token 0 and its delegate see each other, token 1 and its delegate those before it too.
        self.assertEqual(sight.visible[0].tolist(), [2, 2, 4, 4, 5, 6, 7, 8])

    def test_parts(self):
        """A sequence that is worked on in parts, as long ones are, gets the states that it gets in one piece, and positions too."""
        torch.manual_seed(0)
        model = Proton(Config(32, 1, 2, 16, 32, 3, positional_encoding="coord_conv"))
        block, x = model.blocks[0], torch.randn(160, 32)
        rows, place, sight = contexts(160, 16, 160, True, "cpu")
        index = torch.arange(160)
        with torch.no_grad():
            whole = block.after_attention(x, attend(block.before_attention(x, rows, place), 2, sight), rows, place, index)
            torch.testing.assert_close(block.in_parts(x, rows, sight, index, most=64), whole)
            torch.testing.assert_close(model.position_term(160, 5, most=64), model.position_term(160, 5))

    def test_computed_again(self):
        """Blocks of long sequences are computed again for their gradients, which are the same."""
        torch.manual_seed(0)
        model = Proton(Config(32, 2, 2, 16, 32, 3))
        torch.nn.init.normal_(model.head)
        tokens, found = torch.randint(0, 256, (1, 96)), []
        for most in (1 << 18, 0):
            model.most_kept = most
            model.zero_grad()
            bits_of(model, tokens).mean().backward()
            found.append([parameter.grad for parameter in model.parameters()])
        for kept, again in zip(*found):
            torch.testing.assert_close(kept, again)

    def test_orthogonal(self):
        """Singular values come near one, whatever they were."""
        torch.manual_seed(0)
        matrices = torch.randn(3, 24, 40) * torch.logspace(-2, 0, 24)[:, None]
        values = torch.linalg.svdvals(orthogonalized(matrices))
        self.assertTrue(bool(((values > 0.5) & (values < 1.3)).all()), values)

    def test_lengths(self):
        """--lengths takes sizes that can be, and no others."""
        self.assertEqual([lengths("4096:0.5"), lengths("8192/32:1")], [(4096, None, 0.5), (8192, 32, 1.0)])
        for text in ("4096", "4096/:1", "/32:1", "0:1", "4096/0:1", "4096/32/8:1", "4096:-1", "4096:a"):
            with self.assertRaises(ValueError, msg=text):
                lengths(text)

    def test_training(self):
        """Stopped and taken up again it learns, exports what it learned, and the engine computes the same."""
        self.corpus()
        out = self.folder / "run"
        train = [sys.executable, HERE / "train.py", HERE / "configs/nano.json", "--set", "hidden_size=32", "num_attention_heads=2", "num_hidden_layers=2",
                 "intermediate_size=64", "--corpus", self.folder, "--out", out, "--steps", "24", "--step-tokens", "8192", "--lengths", "4096:0.7", "8192/32:0.3",
                 "--patches", "0.3:64", "--lr", "4e-3", "--device", "cpu"]
        self.assertIn("stopped", run(*train, "--stop-after", "0.001"))
        self.assertIn("finished", run(*train))
        # Trained on from its weights, with nothing to learn: they stay.
        run(*train, "--out", self.folder / "on", "--start-from", out, "--steps", "1", "--lr", "0")
        for theirs, mine in zip(checkpoint.load(self.folder / "on").parameters(), checkpoint.load(out).parameters()):
            self.assertTrue(torch.equal(theirs, mine))
        curve = json.loads((out / "curve.json").read_text())["curve"]
        held_out = curve[-1]["held_out"]
        self.assertEqual(set(held_out), {"text", "sensor"})
        self.assertLess(held_out["text"], 6.5)
        model = checkpoint.load(out)
        for name, dtype in ("bf16", torch.bfloat16), ("f32", torch.float32):
            directory = self.folder / name
            checkpoint.save(model, directory, dtype)
            for theirs, mine in zip(checkpoint.load(directory).parameters(), model.parameters()):
                self.assertTrue(torch.equal(theirs, mine), "weights that were rounded once stay as they are")
        text = self.folder / "heldout/text/rest"
        run(PROGRAM, "ingest", text, "--store", self.folder / "store")
        run(PROGRAM, "forward", "--store", self.folder / "store", "--model", self.folder / "bf16", "--state", "f32", "--nll", self.folder / "nll.npy")
        print(run(sys.executable, HERE / "check.py", "engine", out, text, self.folder / "nll.npy", "--exact").strip(), file=sys.stderr)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main(verbosity=1)
