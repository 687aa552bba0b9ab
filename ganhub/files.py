"""Files that are there whole or not at all, and what they hold."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ganhub.errors import UserError

MAX_JSON = 2**20  # bytes; no file of ours comes near, and a stranger's may be made to exhaust memory


def sha256(file: Path) -> str:
    """Of the whole file, as hexadecimal digits."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def write_text(file: Path, text: str) -> None:
    """Write aside and rename, so that a full disk or a kill leaves the old file; the same bytes on every system."""
    write_aside(file, lambda aside: aside.write_text(text, encoding="utf-8", newline="\n"))


def write_aside(file: Path, write: Callable[[Path], Any]) -> None:
    """`write(path)` to a hidden file beside `file`, then rename it; whatever `write` raises comes through."""
    aside = file.with_name(f".{file.name}")
    try:
        write(aside)
        os.replace(aside, file)
    finally:
        aside.unlink(missing_ok=True)


def read_object(file: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: it can't be read, is unreasonably large, or is something else.
    """
    try:
        with file.open("rb") as content:
            data = content.read(MAX_JSON + 1)
        value = None if len(data) > MAX_JSON else json.loads(data)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"{file}: can't be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: not valid JSON; download or export it again") from error
    if len(data) > MAX_JSON:
        raise UserError(f"{file}: larger than {MAX_JSON:,} bytes; not a file that ganhub wrote")
    if not isinstance(value, dict):
        raise UserError(f"{file}: expected a JSON object, got {type(value).__name__}")
    return value


def read_if_there(file: Path) -> dict[str, Any]:
    """The same, or an empty object where there is no such file."""
    try:
        return read_object(file)
    except FileNotFoundError:
        return {}
