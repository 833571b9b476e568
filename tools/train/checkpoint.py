"""Model directories: config.json and model.safetensors, to and from the model of model.py."""
import dataclasses
import json
import math
import struct
from pathlib import Path

import torch

from model import VOCABULARY, Config, Proton

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


def tensors_of(model):
    """Every parameter: published name, published shape, parameter, and how it gets there from [outputs, inputs]."""
    config, D = model.config, model.config.hidden_size
    square = lambda rows: [rows, D, 1, 1]
    yield "codebook", [VOCABULARY, D], model.codebook, None
    if config.positional_encoding == "coord_conv":
        yield "coord_conv.conv.weight", [D, 8, 3], model.position, None
        yield "coord_conv.scale", [1], model.position_scale, None
    yield "norm.weight", [D], model.norm.weight, None
    yield "norm.bias", [D], model.norm.bias, None
    yield "fc.weight", [VOCABULARY, D], model.head, None
    yield "fc.bias", [VOCABULARY], model.head_bias, None
    for index, block in enumerate(model.blocks):
        name = f"blocks.{index}."
        yield name + "pre_norm.norm.weight", [D], block.pre_norm.weight, None
        yield name + "pre_norm.norm.bias", [D], block.pre_norm.bias, None
        if config.delegates:
            yield name + "cov1_delegate.weight", square(D), block.delegate, None
            yield name + "cov1_delegate.bias", [D], block.delegate_bias, None
        yield name + "self_attn.qkv.weight", square(3 * D), block.qkv, None
        yield name + "self_attn.proj.weight", square(D), block.projection, None
        yield name + "self_attn.proj.bias", [D], block.projection_bias, None
        yield name + "norm1.norm.weight", [D], block.norm1.weight, None
        yield name + "norm1.norm.bias", [D], block.norm1.bias, None
        for layer, (kernel, _, inputs, outputs) in enumerate(config.convolutions):
            convolution = name + ("cov3" if config.tcn is None else f"tcn.{layer}")
            # Taps lie one after another in a row of the matrix, innermost in the published kernel.
            yield convolution + ".weight", [outputs, inputs, kernel], block.convolutions[layer], (outputs, kernel, inputs)
            yield convolution + ".bias", [outputs], block.convolution_biases[layer], None
        if config.projects_back:
            yield name + "cov4.weight", [D, config.inner_size, 1], block.back, None
            yield name + "cov4.bias", [D], block.back_bias, None


def save(model, directory, dtype=torch.bfloat16):
    """Writes a model directory that bbp-stream reads. Matrices are stored as `dtype`; what they are in f32 is lost."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, shape, parameter, taps in tensors_of(model):
        value = parameter.detach().float().cpu()
        value = (value.view(taps).transpose(1, 2) if taps else value.view(shape)).to(dtype).contiguous()
        content = value.view(torch.uint8).numpy().tobytes() if value.dim() else b""
        header[name] = {"dtype": NAMES[dtype], "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    (directory / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    (directory / "config.json").write_text(json.dumps(configuration(model.config, dtype), indent=2) + "\n")


def configuration(config, dtype):
    """config.json: only the options that are not the defaults."""
    if not config.delegates:
        raise SystemExit("a model without delegates has no place in config.json: it is there to compare with")
    fields = {key: value for key, value in dataclasses.asdict(config).items() if key != "delegates"}
    for name in ["intermediate_size", "conv_kernel_size"] if config.tcn else ["tcn"]:
        del fields[name]
    if config.recurrence == 1:
        del fields["recurrence"]
    return {"model_type": "bigbang-proton", "vocab_size": VOCABULARY, **fields, "torch_dtype": str(dtype).split(".")[1]}


def load(directory):
    """The model of a directory, in f32 on the processor."""
    directory = Path(directory)
    fields = json.loads((directory / "config.json").read_text())
    known = {field.name for field in dataclasses.fields(Config)} - {"delegates"}
    fields.setdefault("positional_encoding", "coord_conv")
    if fields.get("delegation", {"mode": "transpose"})["mode"] != "transpose" or not fields.get("causal", True):
        raise SystemExit(f"{directory}: only causal models with the published delegates are trained or scored here")
    model = Proton(Config(**{key: value for key, value in fields.items() if key in known}))
    data = (directory / "model.safetensors").read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    for name, shape, parameter, taps in tensors_of(model):
        entry = header[name]
        size = math.prod(entry["shape"])
        if size != parameter.numel():
            raise SystemExit(f"{directory}: {name} has shape {entry['shape']}, not {shape}")
        value = torch.frombuffer(bytearray(data[8 + length + entry["data_offsets"][0] : 8 + length + entry["data_offsets"][1]]), dtype=DTYPES[entry["dtype"]])
        value = value.float().view(shape)
        with torch.no_grad():
            parameter.copy_((value.transpose(1, 2) if taps else value).reshape(parameter.shape))
    return model
