"""Named directions in latent space: walk along one, and one property of the pictures changes.

`directions.safetensors` in a model folder holds a unit vector (latent_dim,) under each name, and in its header what
each was measured to do. `python -m training directions FOLDER` finds them. From Python, for a picture in three steps:

    pipe = GANPipeline.from_pretrained("digits")
    z = latents_for(pipe.generator, [0], [7]) + torch.tensor([[-3.0], [0.0], [3.0]]) * pipe.directions["slant"]
    images = pipe(latents=z, labels=7).images
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from ganhub.errors import UserError, first_line
from ganhub.layout import DIRECTIONS_FILE, MAX_TEXT

if TYPE_CHECKING:
    from torch import Tensor

NAME = re.compile(r"[a-z][a-z0-9 -]{0,30}", re.ASCII)
WEIGHTS_KEY = "generator_sha256"  # in the header; no direction can be called that
MAX_ABOUT = 100  # characters
MAX_DIRECTIONS = 64


@dataclass(frozen=True)
class Effect:
    """What a direction was measured to do."""

    about: str
    """The property that changes, as a phrase."""
    r2: float
    """Share of the property's variance over samples that the step along the direction explains, 0 to 1."""
    per_step: float
    """How far a step of length 1 moves the property, in its standard deviations over samples."""


def save_directions(folder: Path, vectors: "Mapping[str, Tensor]", effects: Mapping[str, Effect], weights: str) -> None:
    """Write `folder`/directions.safetensors.

    Args:
        vectors: name -> unit vector (latent_dim,).
        effects: the same names.
        weights: sha256 of the generator's file that they belong to.

    Raises:
        OSError, SafetensorError: it can't be written.
    """
    from safetensors.torch import save_file

    from ganhub.files import write_aside

    header = {name: json.dumps(asdict(effect), sort_keys=True) for name, effect in effects.items()}
    header[WEIGHTS_KEY] = weights
    tensors = {name: vector.contiguous() for name, vector in vectors.items()}
    write_aside(folder / DIRECTIONS_FILE, lambda aside: save_file(tensors, aside, metadata=header))
    (folder / DIRECTIONS_FILE).chmod(0o644)


def read_directions(folder: Path, latent_dim: int) -> "dict[str, Tensor]":
    """Name -> unit vector (latent_dim,) float32, alphabetically; {} where the folder has none.

    Raises:
        UserError: the file is damaged, or holds something else.
    """
    import torch

    file = folder / DIRECTIONS_FILE
    vectors = {}
    for name, vector in _read(file)[0].items():
        if vector.shape != (latent_dim,) or vector.dtype != torch.float32:
            raise UserError(f"{file}: {name} has shape {tuple(vector.shape)}, the model has {latent_dim} latents")
        length = vector.norm().item()
        if not abs(length - 1) < 1e-3:  # NaN is refused too
            raise UserError(f"{file}: {name} has length {length:g}, a direction has length 1")
        vectors[name] = vector
    return vectors


def read_effects(folder: Path) -> dict[str, Effect]:
    """Name -> what it was measured to do, alphabetically, of those directions whose effect the header gives.

    Raises:
        UserError: the file is damaged, or holds something else.
    """
    file = folder / DIRECTIONS_FILE
    vectors, header = _read(file)
    try:
        return {name: _effect(json.loads(header[name])) for name in vectors if name in header}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UserError(f"{file}: the effect of a direction is not what ganhub writes; fetch it again") from error


def _effect(found: dict[str, Any]) -> Effect:
    about, numbers = found["about"], [float(found[key]) for key in ("r2", "per_step")]
    if not isinstance(about, str) or not about.isprintable() or len(about) > MAX_ABOUT:
        raise ValueError("about")
    if not all(map(math.isfinite, numbers)):
        raise ValueError("not finite")
    return Effect(about, *numbers)


def weights_of(folder: Path) -> str:
    """Sha256 of the generator's file that the directions were found for; "" without directions, or where it isn't said.

    Raises:
        UserError: the file is damaged.
    """
    return _read(folder / DIRECTIONS_FILE)[1].get(WEIGHTS_KEY, "")


def _read(file: Path) -> "tuple[dict[str, Tensor], dict[str, str]]":
    """The vectors by their names, and the header; both empty without a file."""
    if not file.is_file():
        return {}, {}
    if file.stat().st_size > MAX_TEXT:
        raise UserError(f"{file}: larger than {MAX_TEXT:,} bytes; not a file that ganhub wrote")
    try:
        with safe_open(file, framework="pt") as found:
            names = sorted(found.keys())
            vectors, header = {name: found.get_tensor(name) for name in names}, found.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise UserError(f"{file}: damaged ({first_line(error)}); fetch it again") from error
    if len(names) > MAX_DIRECTIONS or not all(map(NAME.fullmatch, names)):
        raise UserError(f"{file}: expected at most {MAX_DIRECTIONS} directions with short lower-case names")
    return vectors, header
