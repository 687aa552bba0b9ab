"""Latents in, pictures out."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

import numpy as np
import torch
from diffusers import DiffusionPipeline
from diffusers.utils import BaseOutput
from PIL import Image
from torch import Tensor

from ganhub import __version__, hub, layout
from ganhub.classes import class_id, list_classes
from ganhub.directions import read_directions
from ganhub.errors import UserError
from ganhub.files import read_object
from ganhub.images import convert
from ganhub.latents import MAX_SEED, latents_for, sample, truncate
from ganhub.layout import INDEX_FILE, Wanted, split_names
from ganhub.models.base import Discriminator, GANModule, Generator
from ganhub.models.families import check_class_names, find_class
from ganhub.values import is_int, is_number, plain
from ganhub.versions import VERSION_KEY

if TYPE_CHECKING:
    from ganhub.differences import Pushed

Network = TypeVar("Network", bound=GANModule)

MAX_IMAGES = 4096
MAX_TRUNCATION = 2.0


@dataclass
class GANPipelineOutput(BaseOutput):
    """What a call gives: `images`, and the `seeds` and `labels` that make each of them again."""

    images: list[Image.Image] | np.ndarray | Tensor
    seeds: list[int] | None
    labels: list[int] | None


class GANPipeline(DiffusionPipeline):
    """A generator, and optionally the discriminator it was trained against.

    Args:
        generator: set to eval mode here.
        discriminator: likewise; only needed for scoring pictures.
        class_names: one name a class, or None when unconditional.

    `directions` has a unit vector (latent_dim,) for each name that the loaded folder gives one (ganhub.directions); it
    belongs to the folder, as the card does: `save_pretrained` writes the networks alone.
    """

    _optional_components = ["discriminator"]
    origin: tuple[str | Path, hub.Source] | None = None  # where it was loaded from

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator | None = None,
        class_names: Sequence[str] | str | None = None,
    ):
        super().__init__()
        names = list(split_names(class_names)) if class_names else None
        if names and len(names) != generator.config.num_classes:
            raise UserError(f"class_names must name each of {generator.config.num_classes} classes, got {len(names)}")
        self.register_modules(generator=generator, discriminator=discriminator)
        self.register_to_config(class_names=names)
        self.directions: dict[str, Tensor] = {}
        generator.eval()
        if discriminator is not None:
            discriminator.eval()

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        revision: str | None = None,
        discriminator: bool = False,
        torch_dtype: torch.dtype | str = torch.float32,
        *,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        variant: str | None = None,
        snapshot: int | None = None,
    ) -> Self:
        """Load a model; never runs code from a repo and never reads a pickle.

        What is in the cache is used when the Hub doesn't answer within 0.08 s (`GANHUB_PATIENCE` in seconds), or not
        sensibly; that is logged. `ganhub pull` fetches the newest version however long it takes.

        Args:
            name: a zoo name ("digits"), a folder, or a Hub id ("user/repo").
            revision: branch, tag or commit of a Hub id; a full commit that ganhub fetched before needs no network.
            discriminator: load the discriminator too.
            torch_dtype: dtype of the weights in memory, or its name, "float16".
            token: of the Hub; else HF_TOKEN or that of `hf auth login`.
            cache_dir: where downloads are kept; else where huggingface_hub keeps them.
            local_files_only: ask nobody; take what is in the cache. HF_HUB_OFFLINE=1 does the same.
            variant: which weights to read, such as "fp16" for diffusion_pytorch_model.fp16.safetensors.
            snapshot: the generator as it was after so many real images; see `ganhub.hub.snapshots`.

        Raises:
            UserError: there is no such model, or its files are missing, damaged or don't fit each other.
        """
        parts = layout.parts(discriminator)
        wanted = Wanted(parts, variant, snapshot, card=False)
        source = hub.Source(revision, token, cache_dir, local_files_only)
        folder = hub.locate(name, wanted, source)
        index = read_index(folder)

        def load(part: str, base: type[Network]) -> Network:
            return find_class(index, part, base, folder).load(folder / part, torch_dtype, variant)

        generator = load("generator", Generator)
        critic = load("discriminator", Discriminator) if discriminator else None
        pipe = cls(generator, critic, check_class_names(index, generator, folder))
        here = hub.find_here(name)
        pipe.origin = here.absolute() if here else name, source
        pipe.directions = read_directions(folder, generator.config.latent_dim)
        return pipe

    def to_json_string(self) -> str:
        """As diffusers has it, and the ganhub that wrote it: one that lacks the family can say which has it."""
        config = json.loads(super().to_json_string()) | {VERSION_KEY: __version__}
        return json.dumps(config, indent=2, sort_keys=True) + "\n"

    def push_to_hub(
        self,
        repo: str,
        *,
        private: bool | None = None,
        tag: str | None = None,
        variant: str | None = None,
        create_pr: bool = False,
        token: str | None = None,
        commit_message: str | None = None,
        dry_run: bool = False,
    ) -> "Pushed":
        """Publish the model that this pipeline was loaded from, with its card, in one commit; none if nothing differs.

        Args:
            repo: Hub id, "user/name"; created when needed.
            variant: "fp16" puts weights of half precision beside the plain ones.
            private, tag, create_pr, token, commit_message, dry_run: see `ganhub.push.push`.

        Returns:
            The address, the commit, and what was uploaded, deleted and already there, with sizes.

        Raises:
            UserError: the card is unfilled, the weights aren't those that it describes, or the Hub refuses.
        """
        from ganhub.publish import publish, source_of

        options: dict[str, Any] = {"private": private, "tag": tag, "variant": variant, "create_pr": create_pr}
        folder, names = source_of(self)
        return publish(folder, repo, token=token, message=commit_message, dry_run=dry_run, names=names, **options)

    @property
    def num_classes(self) -> int:
        """0 when unconditional."""
        return self.generator.config.num_classes

    @property
    def class_names(self) -> list[str]:
        """One name a class; their numbers where the model doesn't name them; empty when unconditional."""
        return self.config.class_names or [str(i) for i in range(self.num_classes)]

    @torch.no_grad()
    def __call__(
        self,
        num_images: int | None = None,
        labels: int | str | Sequence[int | str] | None = None,
        seed: int | Sequence[int] = 0,
        truncation: float = 1.0,
        latents: Tensor | None = None,
        output_type: Literal["pil", "pt", "np"] = "pil",
        batch_size: int = 64,
        screen: bool = True,
    ) -> GANPipelineOutput:
        """Generate pictures. Each depends on its own seed, label and truncation, not on its batch.

        Args:
            num_images: 1 to 4096; if left out, as many as `seed`, `labels` or `latents` list, else 8.
            labels: class of every picture, or one for all: its name in `class_names`, in capitals or not, or its id
                (`ganhub.classes.class_id`); None cycles through the classes. Conditional models only.
            seed: picture i is drawn from `seed + i`; or one seed a picture. Lists may be arrays, tensors or iterators.
            truncation: 0 to 2, how far latents may lie from the mean; see `ganhub.latents.truncate`.
            latents: (num_images, latent_dim) to use instead of drawing from seeds.
            output_type: "pil" pictures, "pt" (N, C, R, R) or "np" (N, R, R, C), float32 in [0, 1].
            batch_size: pictures computed at once; bounds memory and changes nothing else.
            screen: False takes the first latent of every seed, where a model has a screen that would draw some of them
                again (`ganhub.latents.latents_for`).

        Returns:
            `.images`, and the `.seeds` (None with latents) and `.labels` (None when unconditional) of each.

        Raises:
            UserError: an argument is out of its range or doesn't fit the others.
        """
        labels, seed, truncation = plain(labels), plain(seed), plain(truncation)
        if output_type not in ("pil", "pt", "np"):
            raise UserError(f"output_type must be 'pil', 'pt' or 'np', got {output_type!r}")
        if not is_int(batch_size) or batch_size < 1:
            raise UserError(f"batch_size must be a whole number of at least 1, got {batch_size!r}")
        if not is_number(truncation) or not 0 <= truncation <= MAX_TRUNCATION:
            raise UserError(f"truncation must be between 0 and {MAX_TRUNCATION:g}, got {truncation!r}")
        if not isinstance(screen, bool):
            raise UserError(f"screen must be True or False, got {screen!r}")
        given = None if latents is None else self._given(latents)
        count = self._count(num_images, labels, seed, given)
        classes = self._labels(labels, count)
        seeds: list[int] | None = None
        if given is None:
            seeds = self._seeds(seed, count)
            z = self._drawn(seeds, classes, batch_size, screen)
        else:
            z = given
        images = torch.cat(
            [
                self._generate(z[i : i + batch_size], classes and classes[i : i + batch_size], truncation)
                for i in range(0, count, batch_size)
            ]
        )
        return GANPipelineOutput(images=convert(images, output_type), seeds=seeds, labels=classes)

    def _generate(self, z: Tensor, labels: list[int] | None, truncation: float) -> Tensor:
        z = truncate(z, float(truncation)).to(self.generator.device, self.generator.dtype)
        return self.generator(z, None if labels is None else torch.tensor(labels, device=z.device)).cpu()

    def _count(self, num_images: int | None, labels: Any, seed: Any, latents: Tensor | None) -> int:
        lists = {"latents": latents, "seed": seed, "labels": labels}
        lengths = {name: len(x) for name, x in lists.items() if hasattr(x, "__len__") and not isinstance(x, str)}
        count = next(iter(lengths.values()), 8) if num_images is None else num_images
        if not is_int(count) or not 1 <= count <= MAX_IMAGES:
            raise UserError(f"num_images must be a whole number from 1 to {MAX_IMAGES}, got {count!r}")
        for name, length in lengths.items():
            if length != count:
                raise UserError(f"{name} lists {length} for {count} images; give one each")
        return int(count)

    def _seeds(self, seed: Any, count: int) -> list[int]:
        seeds = [seed + i for i in range(count)] if is_int(seed) else seed
        if isinstance(seeds, str) or not hasattr(seeds, "__iter__"):
            raise UserError(f"seed must be a whole number or a list of them, got {seed!r}")
        for value in seeds:
            if not is_int(value) or not 0 <= value <= MAX_SEED:
                raise UserError(f"a seed must be a whole number from 0 to {MAX_SEED}, got {value!r}")
        return [int(value) for value in seeds]

    def _labels(self, labels: Any, count: int) -> list[int] | None:
        if not self.num_classes:
            if labels is not None:
                raise UserError("labels were given, but this model is unconditional; leave them out")
            return None
        if labels is None:
            return [i % self.num_classes for i in range(count)]
        if is_int(labels) or isinstance(labels, str):
            return [class_id(labels, self.class_names)] * count
        if not hasattr(labels, "__iter__"):
            raise UserError(
                f"labels must be a class or a list of them, {list_classes(self.class_names)}; got {labels!r}"
            )
        return [class_id(value, self.class_names) for value in labels]

    def _drawn(self, seeds: list[int], labels: list[int] | None, batch_size: int, screen: bool) -> Tensor:
        if not screen:
            return sample(seeds, self.generator.config.latent_dim)
        return latents_for(self.generator, seeds, labels, batch_size)

    def _given(self, latents: Any) -> Tensor:
        dim = self.generator.config.latent_dim
        try:
            z = torch.as_tensor(latents, dtype=torch.float32, device="cpu")
        except (TypeError, ValueError, RuntimeError) as error:
            kind = type(latents).__name__
            raise UserError(f"latents must be a tensor of shape (num_images, {dim}), got {kind}") from error
        if z.ndim != 2 or z.shape[1] != dim:
            raise UserError(f"latents must have shape (num_images, {dim}), got {tuple(z.shape)}")
        if not torch.isfinite(z).all():
            raise UserError("latents must be finite; some are NaN or infinite")
        return z


def read_index(folder: Path) -> dict[str, Any]:
    """model_index.json of a model folder.

    Raises:
        UserError: missing, or not a JSON object.
    """
    try:
        return read_object(folder / INDEX_FILE)
    except FileNotFoundError as error:
        raise UserError(
            f"{folder}: no {INDEX_FILE} here; expected a model folder with safetensors, "
            "as `python -m training export` writes it (pickles are never read)"
        ) from error
