"""Weights that somebody else trained, read without running any of their code: tensors by name, in the file's order.

Read are .safetensors and what torch.save writes since version 1.6, by `torch.load(weights_only=True)`. A file is sized
up before anything of it is loaded.
"""

import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ganhub.errors import UserError, first_line
from ganhub.models.base import MAX_PARAMETERS

MAX_BYTES = 6 * 2**30  # a checkpoint of both networks and their optimisers
MAX_DEPTH = 3  # {"state": {"netG": {...}}}
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
SAVE_AGAIN = "load it where you trust it and save its state_dict() again, best as .safetensors"
PARALLEL = re.compile(r"(module\.|_orig_mod\.)+")  # DataParallel and torch.compile put these before every name
Weights = dict[str, Tensor]


def read_weights(file: Path, key: str = "") -> Weights:
    """The tensors of one network, by name, in the order of its layers.

    Args:
        file: .safetensors, or a state dict that torch.save wrote, by itself or inside a checkpoint.
        key: where in a checkpoint it is, such as "netG" or "state.generator"; found when there is only one.

    Raises:
        UserError: not such a file, too large, or it can't be told which network is meant.
    """
    try:
        with file.open("rb") as content:
            size, start = file.stat().st_size, content.read(16)
    except OSError as error:
        raise UserError(f"{file}: can't be read ({error.strerror or error})") from error
    if size > MAX_BYTES:
        raise UserError(f"{file}: has {size:,} bytes, at most {MAX_BYTES:,} are read")
    if orderless := start[8:9] == b"{":
        found: Any = _safetensors(file)
    elif start.startswith(b"PK\x03\x04"):
        found = _torch_file(file, size)
    else:
        raise UserError(
            f"{file}: neither safetensors nor what torch.save writes since PyTorch 1.6; older files need a reader "
            f"that runs code. Do torch.save(torch.load(FILE, weights_only=True), NEW) yourself and convert NEW"
        )
    weights = _pick(file, found, key)
    _check(file, weights)
    weights = {PARALLEL.sub("", name, count=1): value for name, value in weights.items()}
    return _in_order(weights) if orderless else weights


def _safetensors(file: Path) -> Weights:
    try:
        weights = load_file(file)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{file}: damaged safetensors ({first_line(error)})") from error
    return weights


def _in_order(weights: Weights) -> Weights:
    """main.2 before main.10, and conv1 before bn1 before conv2: safetensors keeps no order of its own."""
    tops = {name.split(".")[0] for name in weights}
    sizes = {top: max(value.ndim for name, value in weights.items() if name.split(".")[0] == top) for top in tops}
    numbered = all(re.fullmatch(r"\D+\d+", top) for top in tops)

    def place(name: str) -> tuple[int, int, list[tuple[int, str]]]:
        top = name.split(".")[0]
        number = int(re.sub(r"\D", "", top)) if numbered else 0
        return number, -sizes[top] if numbered else 0, _natural(name)

    return {name: weights[name] for name in sorted(weights, key=place)}


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.findall(r"\d+|\D+", name)]


def _torch_file(file: Path, size: int) -> Any:
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise UserError(f"{file}: damaged or cut short ({first_line(error)})") from error
    if any(re.search(r"(^|/)code/|constants\.pkl$", entry.filename) for entry in entries):
        raise UserError(f"{file}: a TorchScript program, and no code is run here; {SAVE_AGAIN}")
    if any(entry.compress_type for entry in entries) or sum(entry.file_size for entry in entries) > size:
        raise UserError(f"{file}: compressed, as torch.save never does; not read")
    try:
        return torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # the reader of pickles raises whatever a made-up file makes it trip over
        name = re.search(r"GLOBAL (\S+)", str(error))
        what = f"it asks for {name[1]}" if name else first_line(error)
        raise UserError(f"{file}: holds more than weights ({what}), and no code is run here; {SAVE_AGAIN}") from error


def _pick(file: Path, found: Any, key: str) -> Weights:
    """The state dict that `key` names, or the only one there is."""
    known = dict(_state_dicts(found))
    names = ", ".join(name or "(the whole file)" for name in known)
    if key:
        if key not in known:
            raise UserError(f"{file}: no state dict {key!r} there; it has {names or 'none'}")
        return known[key]
    if not known:
        raise UserError(f"{file}: holds no state dict, so no weights by name; {SAVE_AGAIN}")
    if len(known) > 1:
        raise UserError(f"{file}: holds several state dicts; say which with --key or --discriminator-key: {names}")
    return next(iter(known.values()))


def _state_dicts(found: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Weights]]:
    """Every mapping of names to tensors that has a convolution's weight, with the keys that lead to it."""
    if not isinstance(found, Mapping) or depth > MAX_DEPTH:
        return
    names = [name for name in found if isinstance(name, str)]
    if len(names) == len(found) and all(isinstance(value, Tensor) for value in found.values()):
        if any(value.ndim == 4 for value in found.values()):
            yield path, dict(found)
        return
    for name in names:
        yield from _state_dicts(found[name], f"{path}.{name}" if path else name, depth + 1)


def _check(file: Path, weights: Weights) -> None:
    """Shapes may claim far more numbers than the file holds."""
    for name, value in weights.items():
        if value.layout != torch.strided or value.device.type != "cpu" or value.is_quantized:
            raise UserError(f"{file}: {name} is no plain tensor ({value.layout}, {value.device}); {SAVE_AGAIN}")
        if value.dtype not in FLOATS and not (value.dtype == torch.int64 and value.ndim == 0):
            raise UserError(f"{file}: {name} is stored as {value.dtype}; weights are floating-point numbers")
    if (count := sum(value.numel() for value in weights.values())) > MAX_PARAMETERS:
        raise UserError(f"{file}: has {count:,} numbers, at most {MAX_PARAMETERS:,} are taken")
    for name, value in weights.items():
        if not torch.isfinite(value).all():
            raise UserError(f"{file}: {name} has NaN or infinite values; use another checkpoint")
