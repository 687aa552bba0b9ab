"""From what a model folder says to a class of ours: a name in a file never imports anything."""

from pathlib import Path
from typing import Any, TypeVar

from ganhub.classes import is_class_name
from ganhub.errors import UserError, shorten
from ganhub.files import read_object
from ganhub.layout import CONFIG_FILE, DISCRIMINATOR, INDEX_FILE, split_names
from ganhub.models import ARCHITECTURES
from ganhub.models.base import ARCH_KEY, GANModule
from ganhub.models.base import Discriminator as AutoDiscriminator
from ganhub.models.base import Generator as AutoGenerator
from ganhub.models.strict import read_object_of
from ganhub.versions import how_to_update

__all__ = ["AutoDiscriminator", "AutoGenerator", "check_class_names", "find_class", "find_family"]

Network = TypeVar("Network", bound=GANModule)


def find_class(index: dict[str, Any], part: str, base: type[Network], folder: Path) -> type[Network]:
    """The class of a component, from our own registry: ["ganhub.models.dcgan", "Generator"] names nothing else.

    Args:
        index: what model_index.json says.
        part: "generator" or "discriminator".
        base: the contract that the class must keep.
        folder: for the message.

    Raises:
        UserError: the model has no discriminator; or there is no such family here, and then it names the ganhub that
            has it, where the file says so.
    """
    entry = index.get(part)
    if part == DISCRIMINATOR and entry in (None, [None, None]):
        raise UserError(
            f"{folder}: has no discriminator; take the run that it was exported from, or a model with one, or load it "
            "without"
        )
    library, name = entry if isinstance(entry, list) and len(entry) == 2 else (None, None)
    prefix, _, arch = str(library).rpartition(".")
    if prefix != "ganhub.models" or arch not in ARCHITECTURES or name != base.__name__:
        raise UserError(
            f"{folder / INDEX_FILE}: {part} is {shorten(entry, 100)}, not a {base.__name__} of a family that this "
            f"ganhub has ({', '.join(ARCHITECTURES)}); {how_to_update(index)}"
        )
    return getattr(ARCHITECTURES[arch], base.__name__)


def find_family(folder: Path, base: type[Network]) -> type[Network]:
    """The class that config.json describes, from our own registry; by model_index.json beside where it doesn't say."""
    arch = read_object_of(folder).get(ARCH_KEY)
    if isinstance(arch, str) and arch in ARCHITECTURES:
        return getattr(ARCHITECTURES[arch], base.__name__)
    file = folder.parent / INDEX_FILE
    if not file.is_file():
        raise UserError(f"{folder / CONFIG_FILE}: names no family that this ganhub has; {how_to_update({})}")
    return find_class(read_object(file), base.part, base, folder.parent)


def check_class_names(index: dict[str, Any], generator: AutoGenerator, folder: Path) -> list[str] | None:
    names = split_names(index.get("class_names"))
    if names is None:
        return None
    if (
        not isinstance(names, list)
        or not all(map(is_class_name, names))
        or len(set(names)) != len(names)
        or len(names) != generator.config.num_classes
    ):
        raise UserError(
            f"{folder / INDEX_FILE}: class_names must name each of {generator.config.num_classes} classes, "
            "no two alike, in one line of 1 to 100 characters, none of them a control"
        )
    return names
