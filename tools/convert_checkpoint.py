#!/usr/bin/env python3
"""Turns a BigBang-Proton checkpoint of PyTorch into a model directory: config.json and model.safetensors.

    tools/convert_checkpoint.py CHECKPOINT.pth MODEL_DIR [--dtype keep|f32|f16|bf16] [--heads H] [--patch-size P] [--force]

CHECKPOINT.pth is what torch.save wrote: the state dict, or a dict that holds it as `state_dict`, `model_state_dict`,
`model` or `module`. A prefix `module.`, `_orig_mod.` or `model.` that all names share is taken off. D, F, K and the number
of layers are read off the shapes. The numbers of heads and of tokens in a patch leave no trace in the weights: they are
those of the published model, 4 and 32, unless the command line says otherwise. Weights without `coord_conv` make a model
without a position term.

Nothing is guessed and nothing is left over: every tensor must be there in its shape, with finite numbers, and no other
tensor but `s1` and `s2` of the blocks, which the model does not use and which are left out. `--dtype` chooses the numbers'
format; `keep` takes each tensor's own, and f32 for float64. Tensors are copied one by one, so that memory holds the largest
of them, not the file. A file has its name only once it is complete.

Only weights are unpickled: a checkpoint cannot run code. What is read off it is in checkpoints/published.py. Needs PyTorch.
Exit status 64 usage, 65 not such a checkpoint, 66 no such file, 69 PyTorch is missing, 73 the model cannot be created,
74 a write failed, 130 interrupted.
"""

import argparse
import json
import math
import os
import signal
import sys

try:
    import torch
except ImportError:
    print("convert_checkpoint: the Python package torch is missing: pip install torch", file=sys.stderr)
    sys.exit(69)

from checkpoints.published import Refusal, check, config_of, first_sentence, layout, load

PATCH_SIZES = range(1, 16_385)
# --dtype: PyTorch's type, the name of safetensors, the name in config.json
FORMATS = {
    "f32": (torch.float32, "F32", "float32"),
    "f16": (torch.float16, "F16", "float16"),
    "bf16": (torch.bfloat16, "BF16", "bfloat16"),
}
PIECE = 4 << 20  # values converted at once
MAPPED = 64 << 20  # bytes read before the checkpoint is mapped anew: read pages of a map count as memory
EXIT_USAGE, EXIT_DATA, EXIT_CREATE, EXIT_IO, EXIT_INTERRUPTED = 64, 65, 73, 74, 130


def target(tensor, dtype):
    """PyTorch's type and the name in safetensors that a tensor is written in."""
    return next((kind, name) for key, (kind, name, _) in FORMATS.items()
                if key == dtype or (dtype == "keep" and (kind == tensor.dtype or tensor.dtype == torch.float64)))


def entries_of(tensors, shapes, dtype):
    """The file's header: type, shape and place of every tensor; wider numbers first, so that all are aligned."""
    entries, offset = {}, 0
    for name in sorted(shapes, key=lambda name: -target(tensors[name], dtype)[0].itemsize):
        kind, code = target(tensors[name], dtype)
        size = tensors[name].numel() * kind.itemsize
        entries[name] = {"dtype": code, "shape": shapes[name], "data_offsets": [offset, offset + size]}
        offset += size
    return entries


def encoded(name, tensor, kind):
    """The bytes of a tensor, piece by piece."""
    values = tensor.detach().reshape(-1)
    for start in range(0, values.numel(), PIECE):
        piece = values[start:start + PIECE]
        try:
            written = piece.to(kind)
            data = written.contiguous().view(torch.uint8).numpy().data
        except (RuntimeError, TypeError) as error:  # PyTorch's, of a tensor that it cannot read
            raise Refusal(EXIT_DATA, f"{name}: its values cannot be read ({first_sentence(error)})") from None
        if not bool((finite := torch.isfinite(written)).all()):
            index = int(torch.nonzero(~finite)[0])
            value = float(piece[index])
            problem = f"; that does not fit {str(kind).removeprefix('torch.')}" if math.isfinite(value) else ""
            where = f"{name}: value {start + index}, at {place(start + index, tensor.shape)},"
            raise Refusal(EXIT_DATA, f"{where} is {value}{problem}")
        yield data


def place(index, shape):
    """The indices of the flat index `index`."""
    indices = []
    for size in reversed(shape):
        index, rest = divmod(index, size)
        indices.insert(0, rest)
    return indices


def write_weights(path, checkpoint, entries):
    """safetensors: the header's length in eight bytes, the header in JSON padded with spaces, the tensors in its order."""
    header = json.dumps({"__metadata__": {"format": "pt"}} | entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    kinds = {code: kind for kind, code, _ in FORMATS.values()}
    with open(path, "wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        tensors, touched = load(checkpoint), 0
        for name, entry in entries.items():
            if touched > MAPPED:
                tensors, touched = load(checkpoint), 0
            for data in encoded(name, tensors[name], kinds[entry["dtype"]]):
                file.write(data)
            touched += tensors[name].nbytes
        file.flush()
        os.fsync(file.fileno())


def outputs(folder):
    """The files of a model, and their names until both are there."""
    files = [os.path.join(folder, name) for name in ("model.safetensors", "config.json")]
    return files, [path + ".partial" for path in files]


def check_outputs(folder, checkpoint):
    """Refuses to write where the checkpoint itself lies, by whatever name."""
    files, partial = outputs(folder)
    for path in (folder, *files, *partial):
        if os.path.exists(path) and os.path.exists(checkpoint) and os.path.samefile(path, checkpoint):
            raise Refusal(EXIT_USAGE, f"{path}: is the checkpoint itself, which would be replaced")


def write_model(folder, checkpoint, config, entries):
    """Both files, under other names until both are there; the folder too goes again where something fails."""
    (weights, settings), partial = outputs(folder)
    made = not os.path.isdir(folder)
    try:
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise Refusal(EXIT_CREATE, f"{folder}: {error.strerror}") from None
        write_weights(partial[0], checkpoint, entries)
        with open(partial[1], "w") as file:
            file.write(json.dumps(config, indent=2) + "\n")
        # Never new weights beside an old configuration.
        if os.path.exists(settings):
            os.remove(settings)
        os.replace(partial[0], weights)
        os.replace(partial[1], settings)
    except BaseException:
        # A model that was not there before is there as a whole or not at all.
        for path in partial + ([weights, settings] if made else []):
            if os.path.exists(path):
                os.remove(path)
        if made and os.path.isdir(folder) and not os.listdir(folder):
            os.rmdir(folder)
        raise


def convert(options):
    check_outputs(options.model, options.checkpoint)
    for name in ("config.json", "model.safetensors"):
        if os.path.exists(os.path.join(options.model, name)) and not options.force:
            raise Refusal(EXIT_CREATE, f"{options.model}: holds a model already ({name}); --force replaces it")
    tensors = load(options.checkpoint)
    config = config_of(tensors, options.heads, options.patch_size)
    shapes = layout(config)
    check(tensors, shapes)
    entries = entries_of(tensors, shapes, options.dtype)
    sizes = {}  # bytes of every number format
    for entry in entries.values():
        sizes[entry["dtype"]] = sizes.get(entry["dtype"], 0) + entry["data_offsets"][1] - entry["data_offsets"][0]
    config["torch_dtype"] = next(name for _, code, name in FORMATS.values() if code == max(sizes, key=sizes.get))
    write_model(options.model, options.checkpoint, config, entries)
    position = "" if "positional_encoding" not in config else ", no position term"
    print(f"{options.model}: {config['num_hidden_layers']} layers, D {config['hidden_size']}, "
          f"F {config['intermediate_size']}, K {config['conv_kernel_size']}, H {config['num_attention_heads']}, "
          f"P {config['patch_size']}{position}\n"
          f"{sum(tensors[name].numel() for name in shapes):,} parameters, {' and '.join(sizes)}, "
          f"{os.path.getsize(os.path.join(options.model, 'model.safetensors')):,} bytes of weights")


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.print_usage(sys.stderr)
        self.exit(EXIT_USAGE, f"convert_checkpoint: {message}\n")


def main():
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("checkpoint", metavar="CHECKPOINT.pth")
    parser.add_argument("model", metavar="MODEL_DIR")
    parser.add_argument("--dtype", choices=("keep", *FORMATS), default="keep", help="how numbers are stored (default keep)")
    parser.add_argument("--heads", type=int, default=4, help="H (default 4)")
    parser.add_argument("--patch-size", type=int, default=32, help="P (default 32)")
    parser.add_argument("--force", action="store_true", help="replace a model that is there")
    options = parser.parse_args()
    if options.heads < 1:
        parser.error("--heads must be at least 1")
    if options.patch_size not in PATCH_SIZES:
        parser.error(f"--patch-size must be {PATCH_SIZES[0]} to {PATCH_SIZES[-1]}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that cleaning up happens
    try:
        convert(options)
    except Refusal as refusal:
        print(f"convert_checkpoint: {refusal}", file=sys.stderr)
        sys.exit(refusal.status)
    except OSError as error:
        print(f"convert_checkpoint: {error.filename or options.model}: {error.strerror}", file=sys.stderr)
        sys.exit(EXIT_IO)
    except KeyboardInterrupt:
        print("convert_checkpoint: interrupted; nothing is left behind", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
