"""The contracts that every architecture keeps, and the strict loading that they share.

Shapes and ranges, everywhere in this project:

    z        (B, latent_dim)  float, standard normal
    labels   (B,)             int64 class ids, or None when the model is unconditional
    images   (B, C, R, R)     float in [-1, 1]; C is 1 or 3, or 2 where R is 1: points in the plane
    logits   (B,)             float, unbounded; larger means "more real"

A model is a diffusers ModelMixin whose `__init__` signature is its config.json. diffusers saves it, but is a lenient
loader (a missing weight is a warning, a missing file falls back to a pickle, an index file sends it elsewhere), so
`from_pretrained` here reads one safetensors file, and compares it with the model key by key before taking any memory.
"""

import contextlib
import inspect
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from safetensors.torch import load_file
from torch import Tensor, nn

from ganhub import hub
from ganhub.errors import UserError, first_line
from ganhub.layout import CONFIG_FILE, Wanted, weights_file

WEIGHTS_FILE = weights_file()
ARCH_KEY = "_ganhub_arch"  # in config.json
DTYPES = ("F16", "BF16", "F32", "I64")  # I64 counts batch norm's batches
LATENTS = ("normal", "uniform")
MAX_WIDTH = 4096  # channels of one layer; a config that asks for more is refused before any memory is taken
ADDED_LATER = {"screen": "`python -m training screen` gives one to a finished model"}  # arguments no recipe has
MAX_PARAMETERS = 500_000_000  # of one network, 2 GB; BigGAN has 160 million


class GANModule(ModelMixin, ConfigMixin):
    """A network whose constructor arguments are its config, saved as config.json + safetensors."""

    config_name = CONFIG_FILE

    part: ClassVar[str] = ""  # its folder in a model repo; "" for a network that lives in a folder of its own

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        subfolder: str = "",
        torch_dtype: torch.dtype | str = torch.float32,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        variant: str | None = None,
        snapshot: int | None = None,
    ) -> Self:
        """Load this network, in eval mode; never runs code from a repo and never reads a pickle.

        Called on `Generator` or `Discriminator` themselves (`ganhub.AutoGenerator`, `ganhub.AutoDiscriminator`), it
        finds the family in the files.

        Args:
            name: a folder with config.json and the weights; for generators and discriminators also all that
                `GANPipeline.from_pretrained` takes, of which only this network is then fetched.
            subfolder: a folder inside a local folder; the network's own, "generator" say, may be named everywhere.
            torch_dtype: of the weights in memory, whatever it is in the file; "float16" is torch.float16.
            revision, token, cache_dir, local_files_only, variant, snapshot: as for `GANPipeline.from_pretrained`.

        Raises:
            UserError: a file is missing or damaged, a key is missing, unexpected or of another shape, the config is
                not this class's, or a weight is not finite.
        """
        folder = Path(name, subfolder)
        with contextlib.suppress(RuntimeError):  # ~ of nobody
            folder = folder.expanduser()
        alone = subfolder == "" and snapshot is None and not revision and (folder / CONFIG_FILE).is_file()
        if cls.part and subfolder in ("", cls.part) and not alone:
            wanted = Wanted((cls.part,), variant, snapshot, card=False)
            folder = hub.locate(name, wanted, hub.Source(revision, token, cache_dir, local_files_only)) / cls.part
        from ganhub.models.families import find_family  # which knows all families, and they know this module

        family = find_family(folder, cls) if cls.part and not hasattr(cls, "arch") else cls
        return family.load(folder, torch_dtype, variant)

    @classmethod
    def load(cls, folder: Path, torch_dtype: torch.dtype | str, variant: str | None = None) -> Self:
        """Read the network in a local folder; `from_pretrained` says what it refuses."""
        dtype = read_dtype(torch_dtype)
        from ganhub.models.strict import check_weights, read_config  # which builds on this module

        file = folder / weights_file(variant)
        model = check_weights(cls, read_config(folder, cls), file)
        model.to_empty(device=torch.get_default_device())  # nothing is drawn: torch's random state stays as it is
        model.load_state_dict(load_file(file), strict=True)
        for key, value in model.state_dict().items():
            if not torch.isfinite(value).all():
                raise UserError(f"{file}: {key} has NaN or infinite values; use another checkpoint")
        return nn.Module.to(model, dtype).eval()

    def to_json_string(self) -> str:
        """As diffusers has it, and the family, so that the file alone says what to build."""
        config = json.loads(super().to_json_string())
        return json.dumps(config | ({ARCH_KEY: self.arch} if self.part else {}), indent=2, sort_keys=True) + "\n"


def read_dtype(value: Any) -> torch.dtype:
    """A dtype that weights may have, or the name of one.

    Raises:
        UserError: it is something else.
    """
    found = getattr(torch, value, None) if isinstance(value, str) else value
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise UserError(f"torch_dtype must be a floating-point dtype such as torch.float16, got {value!r}")
    return found


Module = TypeVar("Module", bound=GANModule)


class Generator(GANModule):
    """z (B, latent_dim), labels (B,) -> images (B, C, R, R).

    Its config always has `resolution`, `channels`, `latent_dim`, `num_classes` (0 when unconditional), `latent` and
    `latent_scale`.
    """

    part: ClassVar[str] = "generator"
    arch: ClassVar[str]
    grows: ClassVar[bool] = False  # has it `grow_to` and `levels`, for progressive growing?

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        raise NotImplementedError

    def noise(self, z: Tensor) -> Tensor:
        """Standard normal z as this network wants it; every `forward` begins with it (behind a mapping network's
        `split_length`).

        So a model that learnt from uniform or narrower noise is still sampled from standard normal z, the noise of all
        contracts here: config `latent` "normal" leaves it, "uniform" maps it to U(-1, 1) through its own distribution
        function, and `latent_scale` then scales it.
        """
        config: Any = self.config
        if config.latent == "uniform":
            z = torch.erf(z / 2**0.5)
        return z * config.latent_scale

    def doubt(self, z: Tensor, labels: Tensor | None = None) -> Tensor | None:
        """How much its screen doubts each of these latents (B,): above 0, another is to be drawn; None without one.

        See ganhub.models.screen and `ganhub.latents.latents_for`. `forward` takes every latent as it comes.
        """
        return None


class Discriminator(GANModule):
    """images (B, C, R, R), labels (B,) -> logits (B,).

    Its config always has `resolution`, `channels` and `num_classes` (0 when unconditional).
    """

    part: ClassVar[str] = "discriminator"
    arch: ClassVar[str]
    grows: ClassVar[bool] = False
    autoencoder: ClassVar[bool] = False  # are the logits the negated error of reconstructing the images?

    def hidden(self, images: Tensor, labels: Tensor | None = None) -> list[Tensor]:
        """What every block gives, from the image on: maps (B, C, H, W) or vectors (B, F); the last is the code.

        Labels count only where a family shows them to its first layer, and may be left out for looking at features.
        """
        raise NotImplementedError

    def judge(self, code: Tensor, images: Tensor, labels: Tensor | None) -> Tensor:
        """The logits (B,) of images (B, C, R, R) whose code (the last of `hidden`) is known."""
        raise NotImplementedError

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.judge(self.hidden(images, labels)[-1], images, labels)

    def features(self, images: Tensor) -> Tensor:
        """What it knows of images (B, C, R, R), as vectors (B, F) for a linear classifier, say.

        As in section 5.1 of the DCGAN paper (https://arxiv.org/abs/1511.06434): the maps of all blocks, each max-pooled
        to 4x4, flattened and concatenated.
        """
        pooled = (F.adaptive_max_pool2d(x, min(4, x.shape[2])) if x.ndim == 4 else x for x in self.hidden(images))
        return torch.cat([x.flatten(1) for x in pooled], dim=1)


Network = Generator | Discriminator


def chain(blocks: Iterable[nn.Module], x: Tensor) -> list[Tensor]:
    """What each block makes of what the one before it made of x."""
    given = []
    for block in blocks:
        x = block(x)
        given.append(x)
    return given


def need_labels(labels: Tensor | None) -> Tensor:
    if labels is None:
        raise ValueError("a conditional model needs labels")
    return labels


def with_label(x: Tensor, embed: nn.Embedding | None, labels: Tensor | None) -> Tensor:
    """(B, N) -> (B, N + label_dim): the label's embedding beside it; as it is without classes."""
    return x if embed is None else torch.cat([x, embed(need_labels(labels)).to(x.dtype)], dim=1)


def with_projection(logits: Tensor, embed: nn.Embedding | None, code: Tensor, labels: Tensor | None) -> Tensor:
    """Logits (B,) plus what the label makes of the code, vectors (B, F) or the mean of maps (B, F, H, W).

    Miyato and Koyama 2018, https://arxiv.org/abs/1802.05637; without classes, the logits as they are.
    """
    if embed is None:
        return logits
    vectors = code.mean((2, 3)) if code.ndim == 4 else code
    return logits + (embed(need_labels(labels)) * vectors).sum(1)


def sketch(cls: type[Module], config: dict[str, Any]) -> Module:
    """The network on the meta device, without memory or random numbers.

    Raises:
        ValueError: it can't be built, or has too many parameters.
    """
    try:
        with torch.device("meta"):
            network = cls(**config)
    except (TypeError, RuntimeError, OverflowError) as error:
        raise ValueError(first_line(error)) from error
    if (count := sum(parameter.numel() for parameter in network.parameters())) > MAX_PARAMETERS:
        name = f"{cls.__module__.rpartition('.')[2]}.{cls.__name__}"
        raise ValueError(f"{name} would have {count:,} parameters, at most {MAX_PARAMETERS:,} are built; narrow it")
    return network


def arguments_of(cls: type[GANModule]) -> list[str]:
    return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]


def check_arguments(cls: type[Network], chosen: Iterable[str], fixed: set[str]) -> None:
    """Refuse arguments that a network doesn't take, or that are not chosen for it alone but fixed for the whole run."""
    takes = [name for name in arguments_of(cls) if name not in fixed and name not in ADDED_LATER]
    for name in chosen:
        if name not in takes:
            hint = "it is a field of the recipe" if name in fixed else f"it takes {', '.join(takes)}"
            if name in arguments_of(cls):
                hint = ADDED_LATER.get(name, hint)
            raise ValueError(f"arch {cls.arch}: the {cls.__name__.lower()} takes no {name}; {hint}")


def check_sizes(name: str, resolution: int, channels: int, num_classes: int, **widths: int) -> None:
    """Refuse sizes that no model here has, by name, before any layer is made."""
    check_whole(name, resolution=resolution, channels=channels, num_classes=num_classes, **widths)
    if channels not in (1, 3):
        raise ValueError(f"{name} needs 1 or 3 channels, got {channels}")
    if not 0 <= num_classes <= MAX_WIDTH:
        raise ValueError(f"{name} needs 0 to {MAX_WIDTH} classes, got {num_classes}")
    for key, value in widths.items():
        if not 1 <= value <= MAX_WIDTH:
            raise ValueError(f"{name} needs {key} between 1 and {MAX_WIDTH}, got {value}")


def check_doublings(name: str, resolution: int) -> None:
    """Refuse what can't be reached from 4x4 by doubling."""
    if resolution not in (16, 32, 64, 128, 256):
        raise ValueError(f"{name} needs a power-of-two resolution from 16 to 256, got {resolution}")


def doublings(resolution: int) -> int:
    """From 4x4 up to this resolution: 3 for 32."""
    return resolution.bit_length() - 3


def widen(width: int, max_width: int, times: int) -> int:
    """Double the width, but not beyond max_width, unless it is wider from the start."""
    return min(width * 2**times, max(width, max_width))


def check_whole(name: str, **numbers: int) -> None:
    for key, value in numbers.items():
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"{name} needs a whole number as {key}, got {value!r}")


def check_latent(name: str, latent: str, latent_scale: float) -> None:
    check_choices(name, latent=(latent, LATENTS))
    if isinstance(latent_scale, bool) or not isinstance(latent_scale, int | float) or not 0 < latent_scale <= 100:
        raise ValueError(f"{name} needs a latent_scale above 0 and up to 100, got {latent_scale!r}")


def check_choices(name: str, **choices: tuple[object, tuple]) -> None:
    """Each argument with its value and the values that it may have; 4.0 is not 4, nor is True 1."""
    for key, (value, known) in choices.items():
        if value not in known or type(value) not in map(type, known):
            raise ValueError(f"{name} needs {key} to be one of {', '.join(map(str, known))}, got {value!r}")


def check_flags(name: str, **flags: bool) -> None:
    for key, value in flags.items():
        if not isinstance(value, bool):
            raise ValueError(f"{name} needs true or false as {key}, got {value!r}")
