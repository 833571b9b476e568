"""What a checkpoint of PyTorch holds and the model that it is: the reading half of tools/convert_checkpoint.py."""

import os
import re
import warnings
from collections.abc import Mapping

import torch

VOCABULARY = 259
LARGEST_LAYER = 10_000
WRAPPERS = ("state_dict", "model_state_dict", "model", "module")
PREFIXES = ("module.", "_orig_mod.", "model.")
NUMBERS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
UNUSED = re.compile(r"blocks\.\d+\.s[12]")
EXIT_USAGE, EXIT_DATA, EXIT_NO_INPUT = 64, 65, 66


class Refusal(Exception):
    """What stops a conversion: the line to print and the exit status."""

    def __init__(self, status, problem):
        super().__init__(problem)
        self.status = status


# ---------------------------------------------------------------------------------------------------
# The checkpoint
# ---------------------------------------------------------------------------------------------------

def load(path):
    """The tensors of a checkpoint by the model's own names, mapped, not read."""
    if not os.path.isfile(path):
        raise Refusal(EXIT_NO_INPUT, f"{path}: there is no such file")
    try:
        open(path, "rb").close()
    except OSError as error:
        raise Refusal(EXIT_NO_INPUT, f"{path}: {error.strerror}") from None
    try:
        with warnings.catch_warnings(action="ignore"):  # PyTorch's, of its own ways
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # whatever torch.load raises about a file that it does not like, of many types
        advice = "; it is of PyTorch's old format: load it and torch.save it again" if "new_zipfile" in str(error) else ""
        raise Refusal(EXIT_DATA, f"{path}: not a whole checkpoint of weights ({first_sentence(error)}){advice}") from None
    return unprefixed(unwrapped(loaded, path))


def first_sentence(error):
    return re.split(r"\n|\. ", str(error).strip() or type(error).__name__)[0][:200]


def unwrapped(loaded, path):
    """The state dict inside the dicts that training scripts put around it."""
    seen = []  # a dict may hold itself
    while isinstance(loaded, Mapping) and not any(loaded is outer for outer in seen):
        seen.append(loaded)
        inner = next((loaded[name] for name in WRAPPERS if isinstance(loaded.get(name), Mapping)), None)
        if inner is None:
            break
        loaded = inner
    if not isinstance(loaded, Mapping) or not loaded:
        kind = "an empty dict" if isinstance(loaded, Mapping) else type(loaded).__name__
        raise Refusal(EXIT_DATA, f"{path}: holds {kind}, not a dict of tensors")
    for name, tensor in loaded.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise Refusal(EXIT_DATA, f"{path}: {name!r} is {type(tensor).__name__}, not a tensor")
        if problem := trouble(tensor):
            raise Refusal(EXIT_DATA, f"{shown(name)}: {problem}")
    return dict(loaded)


def trouble(tensor):
    """Why the values of a tensor do not lie in the file one by one as they are; None where they do."""
    if tensor.is_nested:
        return "is a nested tensor; dense ones are read"
    if tensor.device.type != "cpu":
        return f"is a {tensor.device.type} tensor: the checkpoint holds no values of it"
    if tensor.is_quantized:
        return f"is quantized ({tensor.dtype}); save tensor.dequantize()"
    if tensor.layout != torch.strided:
        return f"is {tensor.layout}; dense tensors are read"
    if tensor.is_neg() or tensor.is_conj():
        return "is a negative or conjugate view; save tensor.resolve_neg().resolve_conj()"
    return None


def shown(name):
    """A name as it may stand in a line."""
    return name if name.isprintable() else ascii(name)[1:-1]


def unprefixed(tensors):
    """The tensors without the prefixes that all names share."""
    while prefix := next((prefix for prefix in PREFIXES if all(name.startswith(prefix) for name in tensors)), None):
        tensors = {name[len(prefix):]: tensor for name, tensor in tensors.items()}
    return tensors


# ---------------------------------------------------------------------------------------------------
# The model that it is
# ---------------------------------------------------------------------------------------------------

def config_of(tensors, heads, patch_size):
    """config.json but for torch_dtype, read off names and shapes."""
    def sizes(name, count):
        if name not in tensors:
            raise Refusal(EXIT_DATA, f"{name}: the tensor is missing")
        shape = list(tensors[name].shape)
        if len(shape) != count:
            raise Refusal(EXIT_DATA, f"{name}: has shape {shape}; {count} sizes are wanted")
        if 0 in shape:
            raise Refusal(EXIT_DATA, f"{name}: has shape {shape}: it is empty")
        return shape

    _, hidden = sizes("codebook", 2)
    numbers = [int(match[1]) for name in tensors if (match := re.match(r"blocks\.(\d{1,9})\.", name))]
    if max(numbers, default=0) >= LARGEST_LAYER:
        raise Refusal(EXIT_DATA, f"blocks.{max(numbers)}: more than {LARGEST_LAYER} layers")
    intermediate, _, kernel = sizes("blocks.0.cov3.weight", 3)
    config = {
        "model_type": "bigbang-proton", "vocab_size": VOCABULARY, "hidden_size": hidden,
        "intermediate_size": intermediate, "num_hidden_layers": max(numbers) + 1, "num_attention_heads": heads,
        "patch_size": patch_size, "conv_kernel_size": kernel,
    }
    if not any(name.startswith("coord_conv.") for name in tensors):
        config["positional_encoding"] = "none"
    elif hidden % 8:
        raise Refusal(EXIT_DATA, f"codebook: D is {hidden}; the position term needs a multiple of 8")
    if hidden % heads:
        raise Refusal(EXIT_USAGE, f"--heads {heads} does not divide D = {hidden}")
    return config | {"hidden_act": "gelu", "layer_norm_eps": 1e-05}


def layout(config):
    """The tensors of such a model: {name: shape}, in the order of the file."""
    hidden, inner, kernel = config["hidden_size"], config["intermediate_size"], config["conv_kernel_size"]
    shapes = {"codebook": [VOCABULARY, hidden]}
    if "positional_encoding" not in config:
        shapes |= {"coord_conv.conv.weight": [hidden, 8, 3], "coord_conv.scale": [1]}
    shapes |= {"norm.weight": [hidden], "norm.bias": [hidden], "fc.weight": [VOCABULARY, hidden], "fc.bias": [VOCABULARY]}
    block = {
        "pre_norm.norm.weight": [hidden], "pre_norm.norm.bias": [hidden],
        "cov1_delegate.weight": [hidden, hidden, 1, 1], "cov1_delegate.bias": [hidden],
        "self_attn.qkv.weight": [3 * hidden, hidden, 1, 1],
        "self_attn.proj.weight": [hidden, hidden, 1, 1], "self_attn.proj.bias": [hidden],
        "norm1.norm.weight": [hidden], "norm1.norm.bias": [hidden],
        "cov3.weight": [inner, hidden, kernel], "cov3.bias": [inner],
        "cov4.weight": [hidden, inner, 1], "cov4.bias": [hidden],
    }
    for layer in range(config["num_hidden_layers"]):
        shapes |= {f"blocks.{layer}.{name}": shape for name, shape in block.items()}
    return shapes


def check(tensors, shapes):
    """Refuses tensors that are missing, of another shape or type, or not of this model."""
    for name, shape in shapes.items():
        if name not in tensors:
            raise Refusal(EXIT_DATA, f"{name}: the tensor is missing; {shape} is wanted")
        tensor = tensors[name]
        if list(tensor.shape) != shape:
            raise Refusal(EXIT_DATA, f"{name}: has shape {list(tensor.shape)}; {shape} is wanted")
        if tensor.dtype not in NUMBERS:
            numbers = ", ".join(str(kind).removeprefix("torch.") for kind in NUMBERS)
            raise Refusal(EXIT_DATA, f"{name}: is {tensor.dtype}; {numbers} are read")
    if extra := sorted(name for name in tensors if name not in shapes and not UNUSED.fullmatch(name)):
        more = f" and {len(extra) - 8} more" if len(extra) > 8 else ""
        raise Refusal(EXIT_DATA, f"not tensors of this model: {', '.join(map(shown, extra[:8]))}{more}")
