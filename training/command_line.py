"""Options as the words that a person would type for them."""

import dataclasses
import json
from collections.abc import Collection
from typing import Any


def words(options: Any, usual: Any, leave_out: Collection[str] = ()) -> list[str]:
    """The options of a command that differ from the usual ones, in the order of their fields.

    Args:
        options: an instance of the command's dataclass.
        usual: one to compare with, or the dataclass itself for its defaults.
        leave_out: fields that are said elsewhere.
    """
    said: list[str] = []
    for item in dataclasses.fields(options):
        value = getattr(options, item.name)
        if item.name not in leave_out and value != getattr(usual, item.name, dataclasses.MISSING):
            said += option(item.name.replace("_", "-"), value)
    return said


def option(name: str, value: Any) -> list[str]:
    """["--name", ...] for a value of any type that recipes and commands have."""
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    if isinstance(value, dict):
        return [f"--{name}", *name_value(value)]
    return [f"--{name}", *map(str, value if isinstance(value, list | tuple) else [value])]


def name_value(values: dict[str, Any]) -> list[str]:
    """A dictionary as the command line takes it: ["r1=0.1", "norm=none"]; values are JSON unless they are text."""
    texts = (value if isinstance(value, str) else json.dumps(value, separators=(",", ":")) for value in values.values())
    return [f"{key}={text}" for key, text in zip(values, texts)]
