"""What the metrics look through: an extractor by name, folder or Inception file, loaded and identified."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ganhub.errors import UserError
from ganhub.files import sha256
from ganhub.hub import ZOO
from ganhub.models.base import WEIGHTS_FILE
from training.featurenet import FeatureNet, batched
from training.inception import Inception, load_inception

DIGITS = "digit-classifier"
NONE = "none"
INCEPTION = "inception:"
TRAIN_ONE = "train one with `python -m training extractor --data DATA --out FOLDER`"


@dataclass(frozen=True)
class Lens:
    """A feature network, and how a report names it."""

    name: str
    sha256: str
    """Of its weights file."""
    network: FeatureNet | Inception
    class_names: tuple[str, ...] = ()
    """What it tells apart; empty when it can't be asked for classes."""

    def look(self, images: Tensor, device: str) -> tuple[Tensor, Tensor | None]:
        """uint8 images (N, C, R, R) -> features (N, F) and recognised class ids (N,), both on the CPU."""
        features = batched(self.network.features, images, device)
        if not self.class_names or not isinstance(self.network, FeatureNet):
            return features, None
        with torch.inference_mode():
            return features, self.network.head(features.to(device)).argmax(1).cpu()


def open_lens(name: str, channels: int, class_names: Sequence[str], device: str = "cpu") -> Lens | None:
    """The extractor of that name; None for "none".

    Args:
        name: a zoo name, a folder written by `python -m training extractor`, "inception:FILE", "none", or "" for the
            one that fits: the digit classifier for grey pictures whose classes are digits.
        channels: of the pictures.
        class_names: of the pictures, as far as known.

    Raises:
        UserError: there is none such, or it can't read these pictures.
    """
    name = name or (DIGITS if channels == 1 and class_names and set(class_names) <= set("0123456789") else "")
    if not name:
        raise UserError(f"no extractor fits these pictures; {TRAIN_ONE} and name it with --extractor FOLDER, or none")
    if name == NONE:
        return None
    if name.startswith(INCEPTION):
        file = Path(name.removeprefix(INCEPTION)).expanduser()
        network = load_inception(file).to(device)
        return Lens(f"Inception-v3 of FID ({file.name})", sha256(file), network)
    folder = ZOO / name if (ZOO / name / WEIGHTS_FILE).is_file() else Path(name).expanduser()
    if not folder.is_dir():
        raise UserError(f"--extractor {name}: no such folder; {TRAIN_ONE}, or say inception:FILE or none")
    net = FeatureNet.from_pretrained(folder).to(device)
    if net.config.channels != channels:
        raise UserError(f"--extractor {name}: reads {net.config.channels}-channel pictures, the model draws {channels}")
    return Lens(folder.resolve().name, sha256(folder / WEIGHTS_FILE), net, net.class_names)
