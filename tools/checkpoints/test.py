#!/usr/bin/env python3
"""Tests of tools/convert_checkpoint.py: small random checkpoints, converted and read back; and everything that it refuses.

    tools/checkpoints/test.py

Needs PyTorch and NumPy; without PyTorch it says so and ends with status 69.
"""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from unittest import mock

try:
    import numpy as np
    import torch
except ImportError as error:
    print(f"checkpoints: the Python package {error.name} is missing", file=sys.stderr)
    sys.exit(69)

TOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, TOOLS)
import convert_checkpoint
import reference_cases
import reference_model

SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "conv_kernel_size": 5}
TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def random_state(kind=torch.float32, positions="coord_conv"):
    """A state dict as training would save it."""
    config = reference_model.DEFAULTS | SIZES | {"positional_encoding": positions}
    weights = reference_cases.random_weights(np.random.default_rng(1), config)
    return {name: torch.from_numpy(tensor).to(kind) for name, tensor in weights.items()}


def read_back(folder):
    """config.json, and {name: tensor} of model.safetensors, whose bytes must be used once each and to the last."""
    with open(os.path.join(folder, "config.json")) as file:
        config = json.load(file)
    with open(os.path.join(folder, "model.safetensors"), "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header, body = json.loads(file.read(length)), bytearray(file.read())
    assert length % 8 == 0 and header.pop("__metadata__") == {"format": "pt"}
    tensors, end = {}, 0
    for name, entry in header.items():
        kind, (start, stop) = TYPES[entry["dtype"]], entry["data_offsets"]
        assert start == end and start % kind.itemsize == 0, name
        tensors[name] = torch.frombuffer(body[start:stop], dtype=kind).reshape(entry["shape"])
        end = stop
    assert end == len(body)
    return config, tensors


class ConversionTests(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = temporary.name
        self.checkpoint, self.model = os.path.join(self.folder, "weights.pth"), os.path.join(self.folder, "model")

    def convert(self, *flags):
        """Runs the tool in this process, for loading PyTorch takes seconds."""
        out, error, status = io.StringIO(), io.StringIO(), 0
        command = ["convert_checkpoint.py", self.checkpoint, self.model, *flags]
        with mock.patch("sys.argv", command), contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            try:
                convert_checkpoint.main()
            except SystemExit as end:
                status = end.code
        return subprocess.CompletedProcess(command, status, out.getvalue(), error.getvalue())

    def converted(self, saved, *flags):
        torch.save(saved, self.checkpoint)
        done = self.convert(*flags)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sorted(os.listdir(self.model)), ["config.json", "model.safetensors"])
        self.summary = done.stdout
        return read_back(self.model)

    def refused(self, saved, status, message, *flags):
        """One line, this status, and no trace of a model."""
        if saved is not None:
            torch.save(saved, self.checkpoint)
        before = os.path.exists(self.model)
        done = self.convert(*flags)
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        lines = [line for line in done.stderr.splitlines() if not line.startswith(("usage:", "  "))]
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertIn(message, lines[0])
        self.assertEqual(os.path.exists(self.model), before)

    def assert_same(self, tensors, state, kind):
        """Every value of every tensor, as the conversion to `kind` rounds it."""
        used = {name for name in state if not name.endswith((".s1", ".s2"))}
        self.assertEqual(set(tensors), used)
        for name in used:
            self.assertEqual(tensors[name].dtype, kind, name)
            self.assertTrue(torch.equal(tensors[name], state[name].to(kind)), name)

    # ---- what it makes --------------------------------------------------------------------------

    def test_values_and_configuration(self):
        state = random_state()
        config, tensors = self.converted(state, "--patch-size", "8")
        self.assert_same(tensors, state, torch.float32)
        self.assertEqual(config, {
            "model_type": "bigbang-proton", "vocab_size": 259, **SIZES, "num_attention_heads": 4, "patch_size": 8,
            "hidden_act": "gelu", "layer_norm_eps": 1e-5, "torch_dtype": "float32"})
        count = sum(tensor.numel() for tensor in tensors.values())
        for part in ("3 layers, D 16, F 24, K 5, H 4, P 8", f"{count:,} parameters, F32, "):
            self.assertIn(part, self.summary)

    def test_formats(self):
        for source, flag, kind, name in (
                (torch.bfloat16, "keep", torch.bfloat16, "bfloat16"), (torch.float16, "keep", torch.float16, "float16"),
                (torch.bfloat16, "f32", torch.float32, "float32"), (torch.float32, "bf16", torch.bfloat16, "bfloat16"),
                (torch.float32, "f16", torch.float16, "float16"), (torch.float64, "keep", torch.float32, "float32")):
            with self.subTest(source=source, flag=flag):
                state = random_state(source)
                config, tensors = self.converted(state, "--dtype", flag, "--force")
                self.assert_same(tensors, state, kind)
                self.assertEqual(config["torch_dtype"], name)

    def test_mixed_formats_stay_and_are_aligned(self):
        state = random_state(torch.bfloat16)
        state["fc.bias"], state["coord_conv.scale"] = state["fc.bias"].half(), state["coord_conv.scale"].float()
        config, tensors = self.converted(state)
        self.assertEqual(config["torch_dtype"], "bfloat16")
        for name, tensor in tensors.items():
            self.assertTrue(tensor.dtype == state[name].dtype and torch.equal(tensor, state[name]), name)

    def test_wrappings_and_prefixes(self):
        state = random_state()
        for wrap in (
                lambda state: {"state_dict": state, "epoch": 3}, lambda state: {"model": state, "optimizer": {"step": 1}},
                lambda state: {"model_state_dict": {f"module.{name}": tensor for name, tensor in state.items()}},
                lambda state: {"module": {"state_dict": state}},
                lambda state: {f"model.{name}": tensor for name, tensor in state.items()},
                lambda state: {f"module._orig_mod.{name}": tensor for name, tensor in state.items()},
                lambda state: {name: torch.nn.Parameter(tensor) for name, tensor in state.items()}):
            saved = wrap(state)
            with self.subTest(first=next(iter(saved))):
                _, tensors = self.converted(saved, "--force")
                self.assert_same(tensors, state, torch.float32)

    def test_strided_and_shared_tensors(self):
        state = random_state()
        state["fc.weight"] = state["fc.weight"].T.contiguous().T
        whole = torch.randn(32)
        state["norm.weight"], state["norm.bias"] = whole[:16], whole[16:]
        _, tensors = self.converted(state)
        self.assert_same(tensors, state, torch.float32)

    def test_without_position_term(self):
        state = random_state(positions="none")
        config, tensors = self.converted(state)
        self.assertEqual(config["positional_encoding"], "none")
        self.assert_same(tensors, state, torch.float32)

    def test_reference_runs_it(self):
        state = random_state()
        self.converted(state, "--patch-size", "8")
        with open(os.path.join(self.model, "config.json")) as file:
            config = reference_model.DEFAULTS | json.load(file)
        weights = reference_cases.read_safetensors(os.path.join(self.model, "model.safetensors"))
        tokens = reference_cases.random_tokens(np.random.default_rng(2), 100)
        costs = reference_model.run(config, weights, tokens)["nll_bits"]
        exact = {name: tensor.double().numpy() for name, tensor in state.items()}
        np.testing.assert_array_equal(costs, reference_model.run(config, exact, tokens)["nll_bits"])
        self.assertTrue(np.isfinite(costs[1:]).all())

    # ---- what it refuses ------------------------------------------------------------------------

    def test_tensors_that_do_not_fit(self):
        name = "blocks.1.cov4.weight"
        state = random_state()
        self.refused({key: state[key] for key in state if key != name}, 65, f"{name}: the tensor is missing; [16, 24, 1]")
        self.refused({key: state[key] for key in state if key != "codebook"}, 65, "codebook: the tensor is missing")
        self.refused(state | {"blocks.1.extra": torch.ones(1), "other": torch.ones(1)}, 65, "blocks.1.extra, other")
        self.refused(state | {name: torch.ones(16, 23, 1)}, 65, f"{name}: has shape [16, 23, 1]; [16, 24, 1] is wanted")
        self.refused(state | {"codebook": torch.ones(258, 16)}, 65, "codebook: has shape [258, 16]; [259, 16] is wanted")
        self.refused(state | {"codebook": torch.ones(259, 0)}, 65, "codebook: has shape [259, 0]")
        self.refused(state | {"fc.bias": torch.ones(259, dtype=torch.int32)}, 65, "fc.bias: is torch.int32")
        scale = "coord_conv.scale"
        self.refused({key: state[key] for key in state if key != scale}, 65, f"{scale}: the tensor is missing; [1]")
        self.refused(state | {"epoch": 3}, 65, "'epoch' is int, not a tensor")
        self.refused(state | {"blocks.99999.s1": torch.ones(1)}, 65, "more than 10000 layers")

    def test_tensors_whose_values_are_not_there_as_they_are(self):
        state = random_state()
        for tensor, message in (
                (torch.empty(259, device="meta"), "is a meta tensor"),
                (torch.complex(torch.zeros(259), torch.ones(259)).conj().imag, "is a negative or conjugate view"),
                (torch.complex(torch.zeros(259), torch.ones(259)).conj(), "is a negative or conjugate view"),
                (torch.ones(259).to_sparse(), "is torch.sparse_coo"),
                (torch.quantize_per_tensor(torch.ones(259), 0.1, 0, torch.qint8), "is quantized (torch.qint8)"),
                (torch.ones(259, dtype=torch.complex64), "is torch.complex64"),
                (torch.ones(259).to(torch.float8_e4m3fn), "is torch.float8_e4m3fn"),
                (torch.ones(259, dtype=torch.bool), "is torch.bool")):
            with self.subTest(message=message):
                self.refused(state | {"fc.bias": tensor}, 65, f"fc.bias: {message}")
        self.refused(state | {"codebook": torch.empty(259, 16, device="meta")}, 65, "codebook: is a meta tensor")

    def test_a_tensor_that_pytorch_cannot_read(self):
        class Strange(torch.Tensor):
            def to(self, *_, **__):
                raise NotImplementedError("no such tensor")

        with self.assertRaises(convert_checkpoint.Refusal) as raised:
            list(convert_checkpoint.encoded("fc.bias", torch.ones(3).as_subclass(Strange), torch.float32))
        self.assertEqual((raised.exception.status, str(raised.exception)),
                         (65, "fc.bias: its values cannot be read (no such tensor)"))

    def test_objects_that_are_no_weights(self):
        state = random_state()
        for item, kind in ((3.5, "float"), ("text", "str"), (None, "NoneType"), ([torch.ones(1)], "list"),
                           ({}, "dict")):
            self.refused(state | {"norm.bias": item}, 65, f"'norm.bias' is {kind}, not a tensor")
        self.refused(state | {7: torch.ones(1)}, 65, "7 is Tensor, not a tensor")
        self.refused(state | {"a\nb\x1b[31m": torch.ones(1)}, 65, "not tensors of this model: a\\nb\\x1b[31m")
        circle = {"epoch": 3}
        circle["model"] = circle
        self.refused(circle, 65, "'epoch' is int, not a tensor")

    def test_the_checkpoint_is_no_output(self):
        state = random_state()
        os.mkdir(self.model)
        for name in ("model.safetensors", "config.json", "model.safetensors.partial", "config.json.partial"):
            self.checkpoint = os.path.join(self.model, name)
            torch.save(state, self.checkpoint)
            with open(self.checkpoint, "rb") as file:
                before = file.read()
            self.refused(None, 64, "is the checkpoint itself", "--force")
            with open(self.checkpoint, "rb") as file:
                self.assertEqual(file.read(), before)
            os.remove(self.checkpoint)
        self.checkpoint = os.path.join(self.folder, "weights.pth")
        torch.save(state, self.checkpoint)
        for link in (os.symlink, os.link):
            link(self.checkpoint, os.path.join(self.model, "model.safetensors"))
            self.refused(None, 64, "is the checkpoint itself", "--force")
            os.remove(os.path.join(self.model, "model.safetensors"))
        self.model = self.checkpoint
        self.refused(None, 64, "is the checkpoint itself")

    def test_numbers_that_are_none(self):
        name = "blocks.2.self_attn.qkv.weight"
        for value, flag, message in ((float("nan"), "keep", "is nan"), (float("-inf"), "bf16", "is -inf"),
                                     (1e6, "f16", "is 1000000.0; that does not fit float16")):
            state = random_state()
            state[name][5, 3, 0, 0] = value
            self.refused(state, 65, f"{name}: value 83, at [5, 3, 0, 0], {message}", "--dtype", flag)

    def test_files_that_are_no_checkpoints(self):
        self.refused(None, 66, "there is no such file")
        for data in (b"", b"no checkpoint\n" * 1000):
            with open(self.checkpoint, "wb") as file:
                file.write(data)
            self.refused(None, 65, "not a whole checkpoint of weights")
        torch.save(random_state(), self.checkpoint)
        os.truncate(self.checkpoint, os.path.getsize(self.checkpoint) * 2 // 3)
        self.refused(None, 65, "not a whole checkpoint of weights")
        torch.save(random_state(), self.checkpoint, _use_new_zipfile_serialization=False)
        self.refused(None, 65, "torch.save it again")
        self.refused([1, 2], 65, "holds list, not a dict of tensors")
        self.refused({}, 65, "holds an empty dict")
        self.refused({"state_dict": {"a": subprocess.run}}, 65, "not a whole checkpoint of weights")  # code is not run

    def test_models_that_are_there(self):
        state = random_state()
        self.converted(state)
        self.refused(state, 73, "holds a model already (config.json); --force replaces it")
        state["norm.bias"] += 1
        _, tensors = self.converted(state, "--force")
        self.assert_same(tensors, state, torch.float32)
        state["norm.bias"][0] = float("nan")
        self.refused(state, 65, "norm.bias: value 0", "--force")  # and the model that is there stays
        self.assertTrue(torch.equal(read_back(self.model)[1]["norm.bias"], tensors["norm.bias"]))
        self.model = os.path.join(self.checkpoint, "below-a-file")
        self.refused(state, 73, self.model)

    def test_usage(self):
        state = random_state()
        self.refused(state, 64, "--heads 3 does not divide D = 16", "--heads", "3")
        self.refused(state, 64, "--heads must be at least 1", "--heads", "0")
        self.refused(state, 64, "--patch-size must be 1 to 16384", "--patch-size", "16385")
        self.refused(state, 64, "invalid choice", "--dtype", "f8")

    def test_interruption_leaves_nothing(self):
        state = random_state()
        big = {f"blocks.{layer}.cov3.weight": torch.randn(24, 16, 1 << 14) for layer in range(3)}  # 75 MB together
        torch.save(state | big, self.checkpoint)
        command = [sys.executable, os.path.join(TOOLS, "convert_checkpoint.py"), self.checkpoint, self.model]
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            process = subprocess.Popen(command, stderr=subprocess.PIPE)
            deadline = time.monotonic() + 60
            while not os.path.exists(self.model) and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.001)
            process.send_signal(number)
            process.communicate()
            if process.returncode:  # it may have been done before the signal came
                self.assertEqual(process.returncode, status)
                self.assertFalse(os.path.exists(self.model))
            else:
                self.assertEqual(sorted(os.listdir(self.model)), ["config.json", "model.safetensors"])


if __name__ == "__main__":
    unittest.main()
