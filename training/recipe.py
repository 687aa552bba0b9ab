"""Every hyper-parameter of a run in one frozen dataclass, saved beside each model as recipe.json."""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self

import tyro

from ganhub.errors import UserError
from ganhub.files import read_object, write_text

if TYPE_CHECKING:
    from ganhub.models.base import Discriminator, Generator

MAX_SEED = 2**31  # leaves room for a seed of its own for each process
# What may differ between a run and its resumption: where it ends and what is written on the way, never what is learnt.
# `data` is here because a folder may move, its content is compared instead; `name` and `source` because they are words.
RESUMABLE = frozenset(
    ["name", "source", "data", "kimg", "log_kimg", "sample_kimg", "save_kimg", "keep_checkpoints", "snapshot_kimg"],
)


@dataclass(frozen=True)
class Recipe:
    """One training run. Durations are in kimg: thousand real images shown to the discriminator."""

    name: Annotated[str, tyro.conf.Fixed, tyro.conf.Suppress] = "custom"  # the preset says it, not the command line
    """The preset this comes from."""
    source: Annotated[str, tyro.conf.Fixed, tyro.conf.Suppress] = ""
    """The paper or tutorial this reproduces."""

    # --- data
    data: str = ""
    """A folder of parquet files, a folder of images (with or without class subfolders), a Hub data set id, or a toy:
    toy:ring, toy:grid, or stacked:DATA for Stacked MNIST."""
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
    """Side in pixels."""
    crop: str = "square"
    """How a picture becomes square: a name in training.crops.CROPS."""
    resize: Literal["lanczos", "area"] = "lanczos"
    """Filter that brings the crop to the resolution."""
    channels: int = 3
    """1 (grey), 3 (RGB), or 2 for points in the plane (at resolution 1)."""
    sharpest: float = 1.0
    """Learn from this share of the pictures only, of each class if conditional: those with the most detail in their
    middle, by the variance of the Laplacian, which is low for blurred, dim and blank ones."""
    typical: float = 1.0
    """Learn from this share of the pictures that `sharpest` leaves, of each class if conditional: the most typical ones
    (arXiv:2007.15255). It takes 800 pictures (of each class) to tell."""
    typical_by: Literal["pixels", "edges"] = "pixels"
    """What is typical: for pixels (at 16x16) plain pictures, for edges (histograms of gradients) common shapes."""
    flip: bool = False
    """Mirror half of the real images, at random. Never for digits or text."""
    shuffle: bool = True
    """A new order every epoch; without it, the data set's own order, over and over (the Keras tutorials)."""
    pixel_range: tuple[float, float] = (-1.0, 1.0)
    """What black and white are for the networks; (0, 1) is a tutorial's slip, kept for those who want to see it."""

    # --- networks
    arch: str = "dcgan"
    """Architecture family: a name in ganhub.models.ARCHITECTURES."""
    latent_dim: int = 100
    """Length of z."""
    latent: Literal["normal", "uniform"] = "normal"
    """Distribution of the noise: N(0, 1) or U(-1, 1) (the DCGAN paper)."""
    latent_scale: float = 1.0
    """The noise is multiplied by this."""
    generator: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the family's Generator, such as width=64."""
    discriminator: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the family's Discriminator, such as norm=none."""
    init: str = ""
    """Begin from the weights of this model, as far as they fit: a zoo name, a folder, or a Hub id with or without
    @revision (arXiv:1805.01677)."""
    grow_from: int = 0
    """Progressive growing (arXiv:1710.10196): resolution to start at; 0 trains at the full one from the start."""
    grow_kimg: float = 0.0
    """Length of each stage of growing: the first half fades the new resolution in, the second trains it."""

    # --- objective
    objective: str = "non_saturating"
    """A name in training.objectives.OBJECTIVES."""
    objective_args: dict[str, float] = field(default_factory=dict)
    """Arguments of the objective, such as margin=10 (ebgan) or gamma=0.5 (began)."""
    penalties: dict[str, float] = field(default_factory=dict)
    """Penalty name (training.penalties.PENALTIES) and weight, such as r1=1."""
    penalty_every: int = 1
    """Lazy regularisation: penalise every N-th discriminator step, N times as strongly (arXiv:1912.04958, without its
    correction of Adam's rates)."""
    pull_away: float = 0.0
    """Weight of EBGAN's pulling-away term (arXiv:1609.03126) in the generator's loss."""

    # --- what the discriminator is told and shown
    real_label: tuple[float, float] = (1.0, 1.0)
    """One-sided label smoothing (arXiv:1606.03498): labels of real images, uniform in this range."""
    label_noise: float = 0.0
    """Up to this much, uniform, is added to every label; negative where a tutorial's fakes are 1 and its reals 0."""
    label_flip: float = 0.0
    """Probability that real and fake swap labels for the discriminator (ganhacks 6)."""
    label_flip_per: Literal["sample", "batch"] = "sample"
    """Who draws for a flip: every image, or a whole batch of real or of generated ones."""
    d_batches: Literal["separate", "mixed", "alternating"] = "separate"
    """Real and generated images go through D one after the other, in one batch, or in an optimiser step each."""
    instance_noise: float = 0.0
    """Standard deviation of Gaussian noise on all that D sees (arXiv:1610.04490)."""
    instance_noise_kimg: float = 0.0
    """The noise falls to 0 over this long, linearly; 0 keeps it."""
    augment: tuple[str, ...] = ()
    """DiffAugment policies (training.augment.AUGMENTATIONS), applied to real and fake alike."""
    augment_p: float = 1.0
    """Probability that an image gets a policy, drawn for each policy; with a target, where it starts."""
    augment_target: float = 0.0
    """ADA (arXiv:2006.06676): adapt augment_p so that D's mean sign on real images is this (0.6); 0 is off."""
    augment_adapt_kimg: float = 500.0
    """ADA: augment_p needs this long from 0 to 1."""

    # --- optimisation
    kimg: float = 1000.0
    """Length of the run."""
    batch_size: int = 64
    """Images per process in a discriminator step."""
    accumulate: int = 1
    """Split every batch into this many passes and average their gradients: the memory of a smaller batch. What looks
    at neighbours (batch norm, minibatch layers, dragan, pull_away) sees one part, but for the images that G draws for
    a step of D alone: they are drawn all at once, without gradients."""
    one_stage: bool = False
    """Update both players from one pass of each network (arXiv:2103.00430), about 0.7 of the work of a step without
    penalties. G learns from D as it was before D's step, and nothing from images of which D is utterly sure (a logit
    below -65 or so). A step with penalties stays two updates; a logged g_loss averages over both kinds."""
    d_steps: int = 1
    """Discriminator steps in an iteration."""
    g_steps: int = 1
    """Generator steps in an iteration."""
    g_optimizer: str = "adam"
    """A name in training.optimizers.OPTIMIZERS."""
    d_optimizer: str = "adam"
    """A name in training.optimizers.OPTIMIZERS."""
    g_lr: float = 2e-4
    """Learning rate of the generator."""
    d_lr: float = 2e-4
    """Learning rate of the discriminator."""
    betas: tuple[float, float] = (0.5, 0.999)
    """Decay rates of adam and adamw."""
    g_optimizer_args: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the generator's optimiser, such as eps=1e-7 or weight_decay=0.01."""
    d_optimizer_args: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the discriminator's optimiser, such as momentum=0.9 nesterov=true."""
    lr_schedule: Literal["constant", "linear", "cosine", "keras"] = "constant"
    """How both learning rates fall: to 0 over lr_kimg, or by Keras's old rule, lr / (1 + lr_decay * iterations)."""
    lr_kimg: float = 0.0
    """Length of the linear and the cosine schedule."""
    lr_decay: float = 0.0
    """Of the keras schedule."""
    later_kimg: float = 0.0
    """From here on `later` holds, and a linear or cosine schedule begins again (warm restarts, arXiv:1608.03983); 0 is
    never. With these lr_kimg must be the same, so that the first fall ends here; the next is as long again, or as long
    as `later` sets it, and only the last may be cut short by kimg."""
    later: dict[str, Any] = field(default_factory=dict)
    """Fields with a new value then, such as augment_p=0.6: g_lr, d_lr, lr_kimg, objective_args, penalties,
    penalty_every, pull_away, augment_p, sharpest, typical, typical_by or one_stage. Whoever sets it replaces all of it,
    and a dictionary in it all of the old one: penalties={"r1":0.5}, in quotes for a shell. For a third part of the run
    it sets later_kimg, counted from the run's start, and later once more."""
    clip_value: float = 0.0
    """Clip every number of both networks' gradients to +- this; 0 is off."""
    clip_norm: float = 0.0
    """Scale each network's gradient down to at most this norm; 0 is off."""
    clip_weights: float = 0.0
    """Clamp D's weights to +- this after each of its steps, as in the first WGAN (arXiv:1701.07875); 0 is off."""
    ema_kimg: float = 5.0
    """Half-life of the generator's moving average, at any time at most 5 % of the run so far; 0 keeps the plain
    weights."""
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
    snapshot_kimg: float = 0.0
    """Keep the weights of both networks this often, as model folders that stay; 0 keeps none."""

    def phases(self) -> "Iterator[Phase]":
        """The parts of the run in turn, those that it doesn't reach too."""
        phase = Phase(0.0, self)
        yield phase
        while begun := phase.recipe.later_kimg:
            after = {"later_kimg": 0.0, "later": {}, **phase.recipe.later}
            phase = Phase(begun, dataclasses.replace(phase.recipe, **after))
            yield phase

    def reached(self) -> "list[Phase]":
        """Those that it does reach: the first, and what begins before kimg."""
        return [phase for phase in self.phases() if not phase.begun or phase.begun < self.kimg]

    def phase(self, kimg: float) -> "Phase":
        """The part of the run that this moment lies in."""
        return [phase for phase in self.phases() if phase.begun <= kimg][-1]

    def selection(self) -> "Selection":
        """Which pictures are learnt from; equal where they are the same."""
        return Selection(self.sharpest, self.typical, self.typical_by if self.typical < 1 else "")

    def build(self, num_classes: int = 0) -> "tuple[Generator, Discriminator]":
        """Fresh networks. `num_classes` is the data set's, used if the recipe is conditional.

        Raises:
            UserError: an argument doesn't fit the architecture.
        """
        from ganhub.models import ARCHITECTURES, base

        if self.arch not in ARCHITECTURES:
            raise UserError(f"recipe {self.name}: arch has no {self.arch!r}; known: {', '.join(ARCHITECTURES)}")
        family = ARCHITECTURES[self.arch]
        shared = {
            "resolution": self.resolution,
            "channels": self.channels,
            "num_classes": num_classes if self.conditional else 0,
        }
        noise = {"latent_dim": self.latent_dim, "latent": self.latent, "latent_scale": self.latent_scale}
        growing = {"grow_from": self.grow_from} if self.grow_from and family.Generator.grows else {}
        for_g = {**shared, **noise, **growing, **self.generator}
        for_d = {**shared, **growing, **self.discriminator}
        try:
            for cls, config, chosen in (
                (family.Generator, for_g, self.generator),
                (family.Discriminator, for_d, self.discriminator),
            ):
                base.check_arguments(cls, chosen, fixed={*shared, *noise, "grow_from"})
                base.sketch(cls, {**config, "spectral_norm": False})  # the same sizes, but quick to make
            return family.Generator(**for_g), family.Discriminator(**for_d)
        except (TypeError, ValueError) as error:
            raise UserError(f"recipe {self.name}: {error}") from error

    def check(self) -> Self:
        """Refuse, before anything starts, what can't be trained. Returns the recipe itself.

        Raises:
            UserError: names the field, its value and what it may be.
        """
        from training.checks import check

        check(self)
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
        # as a file has them, where a tuple is a list
        mine, theirs = (json.loads(json.dumps(dataclasses.asdict(recipe))) for recipe in (self, other))
        return [f"{k}: {theirs[k]} -> {v}" for k, v in mine.items() if k not in RESUMABLE and v != theirs[k]]


class Phase(NamedTuple):
    """A part of a run in which its recipe doesn't change."""

    begun: float
    """In kimg of the run."""
    recipe: Recipe
    """As it holds there."""


class Selection(NamedTuple):
    """Which pictures a part of a run learns from: `training.selection` chooses them."""

    sharpest: float
    """Share of the pictures, or of each class's."""
    typical: float
    """Share of these."""
    by: str
    """What is compared to tell which are typical; "" where all are."""
