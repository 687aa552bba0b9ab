"""Every hyper-parameter of a run in one frozen dataclass, saved beside each model as recipe.json."""

import dataclasses
import json
import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from ganhub.errors import UserError
from ganhub.files import read_object, write_text

if TYPE_CHECKING:
    from ganhub.models.base import Discriminator, Generator

# What may differ between a run and its resumption: where it ends and what is written on the way, never what is learnt.
# `data` is here because a folder may move; its content is compared instead.
MAX_SEED = 2**31  # leaves room for a seed of its own for each process
RESUMABLE = frozenset({"data", "kimg", "log_kimg", "sample_kimg", "save_kimg", "keep_checkpoints"})


@dataclass(frozen=True)
class Recipe:
    """One training run. Durations are in kimg: thousand real images shown to the discriminator."""

    name: str = "custom"
    """The preset this comes from."""
    source: str = ""
    """The paper or tutorial this reproduces."""

    # --- data
    data: str = ""
    """A folder of parquet files, a folder of images (with or without class subfolders), or a Hub data set id."""
    split: str = "train"
    """Split of the data set."""
    image_column: str = ""
    """Column with the pictures; found by itself when empty."""
    label_column: str = ""
    """Column with the classes; found by itself when empty."""
    classes: tuple[str, ...] = ()
    """Keep only these classes, in this order; all of them when empty."""
    conditional: bool = False
    """Show the classes to both networks."""
    resolution: int = 32
    """Side in pixels; pictures are cropped to a centred square and resized (Lanczos)."""
    channels: int = 3
    """1 (grey) or 3 (RGB)."""
    flip: bool = False
    """Mirror half of the real images, at random. Never for digits or text."""

    # --- networks
    arch: str = "dcgan"
    """Architecture family: a name in ganhub.models.ARCHITECTURES."""
    latent_dim: int = 100
    """Length of z."""
    generator: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the family's Generator, such as width=64."""
    discriminator: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the family's Discriminator, such as norm=none."""

    # --- objective
    objective: str = "non_saturating"
    """A name in training.objectives.OBJECTIVES."""
    penalties: dict[str, float] = field(default_factory=dict)
    """Penalty name (training.penalties.PENALTIES) and weight, such as r1=1."""
    penalty_every: int = 1
    """Lazy regularisation: penalise every N-th discriminator step, N times as strongly."""
    augment: tuple[str, ...] = ()
    """DiffAugment policies (training.augment.AUGMENTATIONS), applied to real and fake alike."""

    # --- optimisation
    kimg: float = 1000.0
    """Length of the run."""
    batch_size: int = 64
    """Images per process in a discriminator step."""
    d_steps: int = 1
    """Discriminator steps per generator step."""
    g_lr: float = 2e-4
    """Adam's learning rate for the generator."""
    d_lr: float = 2e-4
    """Adam's learning rate for the discriminator."""
    betas: tuple[float, float] = (0.5, 0.999)
    """Adam's decay rates."""
    ema_kimg: float = 5.0
    """Half-life of the generator's moving average; 0 keeps the plain weights."""
    mixed_precision: Literal["no", "bf16"] = "no"
    """Precision of the forward passes; penalties stay in fp32."""
    seed: int = 0
    """Seed of the weights, the order of the data and every random draw."""

    # --- bookkeeping
    log_kimg: float = 1.0
    """Log scalars this often."""
    sample_kimg: float = 20.0
    """Write a sheet of samples from fixed latents this often."""
    save_kimg: float = 50.0
    """Write a checkpoint this often."""
    keep_checkpoints: int = 2
    """Checkpoints kept; older ones go once the new one is safe."""

    def build(self, num_classes: int = 0) -> "tuple[Generator, Discriminator]":
        """Fresh networks. `num_classes` is the data set's, used if the recipe is conditional.

        Raises:
            UserError: an argument doesn't fit the architecture.
        """
        from ganhub.models import ARCHITECTURES

        if self.arch not in ARCHITECTURES:
            raise UserError(f"recipe {self.name}: arch has no {self.arch!r}; known: {', '.join(ARCHITECTURES)}")
        family = ARCHITECTURES[self.arch]
        shared = {
            "resolution": self.resolution,
            "channels": self.channels,
            "num_classes": num_classes if self.conditional else 0,
        }
        try:
            generator = family.Generator(**shared, latent_dim=self.latent_dim, **self.generator)
            return generator, family.Discriminator(**shared, **self.discriminator)
        except (TypeError, ValueError) as error:
            raise UserError(f"recipe {self.name}: {error}") from error

    def check(self) -> Self:
        """Refuse, before anything starts, what can't be trained. Returns the recipe itself.

        Raises:
            UserError: names the field, its value and what it may be.
        """
        import torch
        from torch.nn.modules.batchnorm import _BatchNorm

        from ganhub.models import ARCHITECTURES
        from training.augment import AUGMENTATIONS
        from training.objectives import OBJECTIVES
        from training.penalties import PENALTIES

        known: list[tuple[str, Iterable[str], Collection[str]]] = [
            ("arch", [self.arch], ARCHITECTURES),
            ("objective", [self.objective], OBJECTIVES),
            ("penalties", self.penalties, PENALTIES),
            ("augment", self.augment, AUGMENTATIONS),
        ]
        for name, values, registry in known:
            for value in values:
                if value not in registry:
                    raise UserError(f"recipe {self.name}: {name} has no {value!r}; known: {', '.join(registry)}")
        positive = ("kimg", "batch_size", "d_steps", "g_lr", "d_lr", "penalty_every", "latent_dim", "keep_checkpoints")
        for name in (*positive, "log_kimg", "sample_kimg", "save_kimg"):
            if not 0 < getattr(self, name) < math.inf:
                raise UserError(f"recipe {self.name}: {name} must be above 0 and finite, got {getattr(self, name)}")
        for weight in self.penalties.values():
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
                raise UserError(f"recipe {self.name}: a penalty's weight must be a number from 0, got {weight!r}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise UserError(f"recipe {self.name}: betas must lie in [0, 1), got {self.betas}")
        if not 0 <= self.ema_kimg < math.inf:
            raise UserError(f"recipe {self.name}: ema_kimg must be 0 or more, got {self.ema_kimg}")
        if not 0 <= self.seed < MAX_SEED:
            raise UserError(f"recipe {self.name}: seed must be from 0 to {MAX_SEED - 1}, got {self.seed}")
        if self.batch_size < 2:
            raise UserError(f"recipe {self.name}: batch_size must be at least 2, batch norm needs neighbours")
        with torch.device("meta"):  # without memory: only to see what the arguments make
            _, discriminator = self.build(num_classes=2)
        if self.penalties and any(isinstance(layer, _BatchNorm) for layer in discriminator.modules()):
            raise UserError(
                f"recipe {self.name}: penalties ({', '.join(self.penalties)}) are per sample, batch norm is not; "
                "use --discriminator norm=none"
            )
        return self

    def save(self, file: Path) -> None:
        write_text(file, json.dumps(dataclasses.asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, file: Path) -> Self:
        """The exact recipe that `save` wrote.

        Raises:
            UserError: missing, not JSON, or with fields that this version doesn't know.
        """
        try:
            values = read_object(file)
            names = {item.name for item in dataclasses.fields(cls)}
            if unknown := values.keys() - names:
                raise UserError(f"{file}: unknown field {min(unknown)}; written by another version of ganhub")
            lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
            return cls(**{**values, **lists})
        except FileNotFoundError as error:
            raise UserError(f"{file}: not found; is {file.parent} a run or a model folder?") from error
        except TypeError as error:
            raise UserError(f"{file}: not a recipe ({error})") from error

    def changes_from(self, other: Self) -> list[str]:
        """What differs in a way that makes a resumed run another run: ["batch_size: 64 -> 32"]."""
        mine, theirs = dataclasses.asdict(self), dataclasses.asdict(other)
        return [f"{k}: {theirs[k]} -> {v}" for k, v in mine.items() if k not in RESUMABLE and v != theirs[k]]


def name_value(values: dict[str, Any]) -> list[str]:
    """A dictionary as the command line takes it: ["r1=0.1", "norm=none"]; values are JSON unless they are text."""
    return [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in values.items()]


def data_name(data: str) -> str:
    """What a card may say: a Hub id as it is, a local path as its last part, never where it lies on this machine."""
    path = Path(data).expanduser()
    return path.resolve().name if path.exists() or path.is_absolute() or data.startswith(".") else data
