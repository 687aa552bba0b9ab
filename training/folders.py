"""Folders that commands write: each appears whole or not at all."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ganhub.errors import UserError, first_line
from ganhub.layout import INDEX_FILE


def check_free(out: Path, force: bool) -> None:
    """A model folder may be written there: nothing is, or a model folder that may be replaced.

    Raises:
        UserError: it is taken.
    """
    if out.exists() and not may_replace(out, force):
        raise UserError(f"{out}: is already there; give another --out, or --force to replace a model folder")


def may_replace(out: Path, force: bool) -> bool:
    return force and (out / INDEX_FILE).exists()


@contextlib.contextmanager
def appearing(out: Path, force: bool = False) -> Iterator[Path]:
    """A folder beside `out` to write to, which takes that place in the end.

    Args:
        force: a model folder that is there may be replaced.

    Raises:
        UserError: the disk won't do, or the place was taken meanwhile.
    """
    from safetensors import SafetensorError

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as parent:
            aside = Path(parent, "new")
            yield aside
            for file in aside.rglob("*.safetensors"):
                file.chmod(0o644)  # safetensors makes them private, which a shared folder or a Space can't serve
            if out.exists() and not may_replace(out, force):
                raise UserError(f"{out}: was made by somebody else meanwhile; give another --out")
            put(aside, out)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{out}: can't be written ({first_line(error)}); mend that and try again") from error


def put(new: Path, out: Path) -> None:
    """Rename a folder. What was at `out` goes when that is done, and comes back if it fails.

    Raises:
        OSError: it failed.
        UserError: it failed, and so did the way back; names where the old folder is.
    """
    if not out.exists():
        new.rename(out)
        return
    keep = Path(tempfile.mkdtemp(dir=out.parent, prefix=".replaced-"))  # which no one else cleans up
    old = keep / out.name
    try:
        out.rename(old)
        new.rename(out)
    except BaseException as error:
        try:
            if old.exists():
                old.rename(out)
            keep.rmdir()
        except OSError:
            raise UserError(f"{out}: can't be written ({first_line(error)}); what was there is in {old}") from error
        raise
    shutil.rmtree(keep, ignore_errors=True)
