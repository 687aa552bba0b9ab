"""The contracts that every architecture keeps, and the strict loading that they share.

Shapes and ranges, everywhere in this project:

    z        (B, latent_dim)  float, standard normal
    labels   (B,)             int64 class ids, or None when the model is unconditional
    images   (B, C, R, R)     float in [-1, 1]; C is 1 or 3
    logits   (B,)             float, unbounded; larger means "more real"

A model is a diffusers ModelMixin whose `__init__` signature is its config.json. diffusers loads leniently (a missing
weight is a warning, a missing file falls back to a pickle), so `from_pretrained` here compares the file with the model
first, key by key, and reads nothing but safetensors.
"""

import inspect
import json
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from diffusers import ConfigMixin, ModelMixin
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ganhub.errors import UserError

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "diffusion_pytorch_model.safetensors"
MAX_WIDTH = 4096  # channels of one layer; a config that asks for more is refused before any memory is taken


class GANModule(ModelMixin, ConfigMixin):
    """A network whose constructor arguments are its config, saved as config.json + safetensors."""

    config_name = CONFIG_FILE

    @classmethod
    def from_pretrained(cls, folder: str | Path, subfolder: str = "", **kwargs: Any) -> Self:
        """Load from a local folder (`ganhub.hub.resolve` turns a name into one), in eval mode.

        Args:
            folder: where config.json and diffusion_pytorch_model.safetensors are.
            subfolder: a folder inside it, e.g. "generator".
            **kwargs: passed on to diffusers' ModelMixin.from_pretrained, e.g. `torch_dtype`.

        Raises:
            UserError: a file is missing or damaged, a key is missing, unexpected or of another shape, the config is
                not this class's, or a weight is not finite.
        """
        folder = Path(folder, subfolder)
        check_weights(cls, read_config(folder, cls), folder)
        try:
            model = super().from_pretrained(folder, use_safetensors=True, **kwargs)
        except (OSError, RuntimeError, ValueError) as error:
            raise UserError(
                f"{folder}: cannot be loaded ({_first_line(error)}); download or export it again"
            ) from error
        for key, value in model.state_dict().items():
            if not torch.isfinite(value).all():
                raise UserError(f"{folder / WEIGHTS_FILE}: {key} has NaN or infinite values; use another checkpoint")
        return model.eval()


class Generator(GANModule):
    """z (B, latent_dim), labels (B,) -> images (B, C, R, R).

    Its config always has `resolution`, `channels`, `latent_dim` and `num_classes` (0 when unconditional).
    """

    arch: ClassVar[str]

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        raise NotImplementedError


class Discriminator(GANModule):
    """images (B, C, R, R), labels (B,) -> logits (B,).

    Its config always has `resolution`, `channels` and `num_classes` (0 when unconditional).
    """

    arch: ClassVar[str]

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        raise NotImplementedError


def read_config(folder: Path, cls: type[GANModule]) -> dict[str, Any]:
    """The constructor arguments in `folder`/config.json, or a UserError that names what is wrong with them."""
    file = folder / CONFIG_FILE
    if not file.is_file():
        raise UserError(
            f"{folder}: no {CONFIG_FILE} here; expected a model folder written by `python -m training export`"
        )
    try:
        config = json.loads(file.read_text())
    except ValueError as error:
        raise UserError(f"{file}: not valid JSON ({error}); download or export it again") from error
    if not isinstance(config, dict):
        raise UserError(f"{file}: expected a JSON object, got {type(config).__name__}")
    arguments = {key: value for key, value in config.items() if not key.startswith("_")}
    unknown = arguments.keys() - inspect.signature(cls.__init__).parameters.keys()
    if unknown:
        raise UserError(f"{file}: {cls.__module__}.{cls.__name__} takes no {', '.join(sorted(unknown))}; update ganhub")
    return arguments


def check_weights(cls: type[GANModule], config: dict[str, Any], folder: Path) -> None:
    """Compare the header of the weights with a model built on the meta device: nothing is allocated or read yet."""
    file = folder / WEIGHTS_FILE
    if not file.is_file():
        raise UserError(f"{folder}: no {WEIGHTS_FILE} here; ganhub reads safetensors only, never a pickle")
    try:
        with safe_open(file, framework="pt") as weights:
            found = {key: tuple(weights.get_slice(key).get_shape()) for key in weights.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(f"{file}: damaged or cut short ({_first_line(error)}); download or export it again") from error
    try:
        with torch.device("meta"):
            expected = {key: tuple(value.shape) for key, value in cls(**config).state_dict().items()}
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise UserError(f"{folder / CONFIG_FILE}: {_first_line(error)}") from error
    for key, shape in expected.items():
        if key not in found:
            raise UserError(f"{file}: {key} is missing; config and weights belong to different models")
        if found[key] != shape:
            raise UserError(f"{file}: {key} is {found[key]}, the config asks for {shape}")
    if extra := found.keys() - expected.keys():
        raise UserError(
            f"{file}: {min(extra)} is not part of this model; config and weights belong to different models"
        )


def check_sizes(name: str, resolution: int, channels: int, num_classes: int, **widths: int) -> None:
    """Refuse sizes that no model here has, by name, before any layer is made."""
    for key, value in {"resolution": resolution, "channels": channels, "num_classes": num_classes, **widths}.items():
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"{name} needs a whole number as {key}, got {value!r}")
    if channels not in (1, 3):
        raise ValueError(f"{name} needs 1 or 3 channels, got {channels}")
    if not 0 <= num_classes <= MAX_WIDTH:
        raise ValueError(f"{name} needs 0 to {MAX_WIDTH} classes, got {num_classes}")
    for key, value in widths.items():
        if not 1 <= value <= MAX_WIDTH:
            raise ValueError(f"{name} needs {key} between 1 and {MAX_WIDTH}, got {value}")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
