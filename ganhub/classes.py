"""The classes of a model: an id each, and a name to ask for it by."""

import re
import reprlib
import unicodedata
from collections.abc import Sequence
from typing import Any

from ganhub.errors import UserError
from ganhub.values import is_int

NAME = re.compile(r"\S(.{0,98}\S)?")
STEERING = ("Cc", "Cs", "Zl", "Zp")  # Unicode's kinds of characters that move a terminal's cursor, or can't be written
TURNING = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # the direction of a text


def is_class_name(name: Any) -> bool:
    """One line of 1 to 100 characters, none of which would steer a terminal."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return False
    return not any(unicodedata.category(char) in STEERING or char in TURNING for char in name)


def class_id(label: Any, names: Sequence[str]) -> int:
    """The id of a class.

    Args:
        label: its name, in capitals or not where that leaves one; its id; or the digits of its id.
        names: of all classes, in the order of their ids.

    Raises:
        UserError: that is no class.
    """
    number = read_name(label, names) if isinstance(label, str) else label
    if not is_int(number) or not 0 <= number < len(names):
        raise UserError(f"a label must be a class, {list_classes(names)}; got {reprlib.repr(label)}")
    return int(number)


def read_name(text: str, names: Sequence[str]) -> int | None:
    """The id that a name or digits stand for; None where there is no such name, or it could be several."""
    if text in names:
        return names.index(text)
    alike = [i for i, name in enumerate(names) if name.casefold() == text.casefold()]
    if alike:
        return alike[0] if len(alike) == 1 else None
    return int(text) if text.isdecimal() and len(text) < 6 else None


def list_classes(names: Sequence[str]) -> str:
    """ "0 to 3 or bart, homer, lisa, marge"; of many names the first."""
    shown = [name for i, name in enumerate(names) if name != str(i)]
    listed = f" or {', '.join(shown[:10])}" + ", ..." * (len(shown) > 10) if shown else ""
    return f"{'0 to ' * (len(names) > 1)}{len(names) - 1}{listed}"
