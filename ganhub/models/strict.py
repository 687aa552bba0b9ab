"""What the files of a network say, compared with its class before any memory is taken."""

from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from ganhub.errors import UserError, first_line, shorten
from ganhub.files import read_object
from ganhub.layout import CONFIG_FILE, other_weights
from ganhub.models.base import ARCH_KEY, DTYPES, GANModule, Module, arguments_of, sketch
from ganhub.versions import how_to_update_for


def read_object_of(folder: Path) -> dict[str, Any]:
    try:
        return read_object(folder / CONFIG_FILE)
    except FileNotFoundError as error:
        raise UserError(f"{folder}: no {CONFIG_FILE} here; expected a folder of `python -m training export`") from error


def read_config(folder: Path, cls: type[GANModule]) -> dict[str, Any]:
    """The constructor arguments in `folder`/config.json, or a UserError that names what is wrong with them."""
    file = folder / CONFIG_FILE
    config = read_object_of(folder)
    if config.get("_class_name", cls.__name__) != cls.__name__:
        raise UserError(f"{file}: describes a {shorten(config['_class_name'], 100)}, not a {cls.__name__}")
    if cls.part and config.get(ARCH_KEY, cls.arch) != cls.arch:
        auto = f"ganhub.Auto{cls.__name__} finds the family"
        raise UserError(
            f"{file}: describes a {cls.__name__} of the family {shorten(repr(config[ARCH_KEY]), 100)}, "
            f"not {cls.arch}; {auto}"
        )
    arguments = {key: value for key, value in config.items() if not key.startswith("_")}
    if unknown := arguments.keys() - set(arguments_of(cls)):
        names = shorten(", ".join(sorted(unknown)), 100)
        raise UserError(f"{file}: {cls.__module__}.{cls.__name__} takes no {names}; {how_to_update_for(folder.parent)}")
    return arguments


def check_weights(cls: type[Module], config: dict[str, Any], file: Path) -> Module:
    """Compare the header of the weights with a model on the meta device, which is returned: nothing is read yet."""
    folder = file.parent
    if not file.is_file():
        hint = other_weights([path.name for path in folder.iterdir()])
        raise UserError(f"{folder}: no {file.name} here; {hint}")
    try:
        with safe_open(file, framework="pt") as weights:
            slices = {key: weights.get_slice(key) for key in weights.keys()}  # noqa: SIM118
            found = {key: tuple(value.get_shape()) for key, value in slices.items()}
            dtypes = {key: value.get_dtype() for key, value in slices.items()}
    except (SafetensorError, OSError) as error:
        raise UserError(f"{file}: damaged or cut short ({first_line(error)}); download or export it again") from error
    try:
        model = sketch(cls, config)
    except ValueError as error:
        raise UserError(f"{folder / CONFIG_FILE}: {first_line(error)}") from error
    expected = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    for key, dtype in dtypes.items():
        if dtype not in DTYPES:
            raise UserError(f"{file}: {shorten(key, 100)} is stored as {dtype}; ganhub reads {', '.join(DTYPES)}")
    for key, shape in expected.items():
        if key not in found:
            raise UserError(f"{file}: {key} is missing; config and weights belong to different models")
        if found[key] != shape:
            raise UserError(f"{file}: {key} is {shorten(found[key], 100)}, the config asks for {shape}")
    if extra := found.keys() - expected.keys():
        name = shorten(min(extra), 100)
        raise UserError(f"{file}: {name} is not part of this model; config and weights belong to different models")
    return model
