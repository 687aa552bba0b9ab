"""Which ganhub a model needs, by what the files of its folder say."""

import re
from pathlib import Path
from typing import Any

from ganhub import __version__
from ganhub.errors import UserError
from ganhub.files import read_object
from ganhub.layout import INDEX_FILE

VERSION_KEY = "_ganhub_version"  # in model_index.json: the ganhub that wrote it
NUMBERS = r"\d{1,5}(?:\.\d{1,5}){1,2}"
VERSION = re.compile(rf"{NUMBERS}(?:\.?(?:a|b|rc|post|dev)\d{{1,5}})?", re.ASCII)


def how_to_update(index: dict[str, Any]) -> str:
    """Names the version that is needed, where the file was written by a newer one than this.

    Args:
        index: what model_index.json says.
    """
    wrote = index.get(VERSION_KEY)
    if isinstance(wrote, str) and VERSION.fullmatch(wrote) and _numbers(wrote) > _numbers(__version__):
        return f"it needs ganhub >= {wrote}, this is {__version__}; update ganhub"
    return f"it needs another ganhub than this, {__version__}; update ganhub"


def how_to_update_for(folder: Path) -> str:
    """The same of a model folder, whose model_index.json may be missing or damaged."""
    try:
        return how_to_update(read_object(folder / INDEX_FILE))
    except (FileNotFoundError, UserError):
        return how_to_update({})


def _numbers(version: str) -> list[int]:
    """What a version begins with, as three numbers: [0, 2, 0] for 0.2 and for 0.2.0rc1."""
    found = re.match(NUMBERS, version, re.ASCII)
    return [*map(int, found[0].split(".") if found else []), 0, 0, 0][:3]
