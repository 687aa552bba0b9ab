"""Folders that commands write: each appears whole or not at all."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError

from ganhub.errors import UserError, first_line
from ganhub.layout import INDEX_FILE


def check_free(out: Path, force: bool) -> None:
    """A model folder may be written there: nothing is, or a model folder that may be replaced.

    Raises:
        UserError: it is taken.
    """
    if out.exists() and not (force and (out / INDEX_FILE).exists()):
        raise UserError(f"{out}: is already there; give another --out, or --force to replace a model folder")


@contextlib.contextmanager
def appearing(out: Path) -> Iterator[Path]:
    """A folder beside `out` to write to; in the end it takes the place of `out`, and what was there goes.

    Raises:
        UserError: the disk won't do.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as parent:
            aside = Path(parent, "new")
            yield aside
            for file in aside.rglob("*.safetensors"):
                file.chmod(0o644)  # safetensors makes them private, which a shared folder or a Space can't serve
            if out.exists():
                out.rename(Path(parent, "old"))  # goes with the temporary folder
            aside.rename(out)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{out}: can't be written ({first_line(error)}); mend that and try again") from error
