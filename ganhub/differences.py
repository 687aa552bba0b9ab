"""What a folder has and a repo on the Hub hasn't, and the other way round."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from huggingface_hub.hf_api import RepoFile

from ganhub.errors import UserError
from ganhub.layout import (
    CARD_FILE,
    CONFIG_FILE,
    DIRECTIONS_FILE,
    DISCRIMINATOR,
    GENERATOR,
    LOG_FILE,
    ONNX_FILE,
    PICTURES,
    TEXTS,
)
from ganhub.store import Blob

# What ganhub writes into a model repo, and nobody by chance. The rest may be the user's: notes, pictures, any code.
OURS = (
    *(name for name in (*TEXTS, *PICTURES, LOG_FILE, DIRECTIONS_FILE, ONNX_FILE) if name != CARD_FILE),
    *(f"snapshots/{'[0-9]' * 9}{end}" for end in ("/*", ".png")),
    *(f"{part}/{name}" for part in (GENERATOR, DISCRIMINATOR) for name in (CONFIG_FILE, "diffusion_pytorch_*")),
)


@dataclass(frozen=True)
class Pushed:
    """What a push did, or would do: paths in the repo with their sizes."""

    repo: str
    address: str
    """Where to look at it: the repo, or the pull request."""
    commit: str | None
    """What the repo, or the pull request, shows now; None where nothing was done."""
    created: bool
    """Was the repo new?"""
    uploaded: dict[str, int]
    deleted: dict[str, int]
    unchanged: dict[str, int]

    @property
    def differs(self) -> bool:
        return bool(self.uploaded or self.deleted)

    def outcome(self) -> str:
        """One line: what has become of it, and where to look."""
        if self.commit is None:
            return f"{self.address}: nothing was uploaded (dry run)\n{self.table()}"
        if not self.differs:
            return f"{self.address}: is up to date at {self.commit[:7]}; no new commit"
        return f"{self.address}: published as commit {self.commit[:7]}"

    def table(self) -> str:
        """One line a file, and a sum."""
        lines = [(size, "upload", path) for path, size in self.uploaded.items()]
        lines += [(size, "delete", path) for path, size in self.deleted.items()]
        rows = [f"{readable(size):>9}  {what}  {path}" for size, what, path in lines]
        count, same = len(self.uploaded), len(self.unchanged)
        files = f"{count} file{'s'[: count != 1]} to upload, {readable(sum(self.uploaded.values()))}"
        return "\n".join([*rows, f"{self.repo}: {files}; {same} already there"])


def is_foreign(path: str) -> bool:
    """Is a file of a model repo somebody's own, not one that ganhub writes?"""
    return not any(fnmatchcase(path, pattern) for pattern in OURS)


def local_files(folder: Path, under: str = "") -> dict[str, Path]:
    """Path in the repo -> file, sorted; hidden ones left out.

    Raises:
        UserError: there are none.
    """
    found = {}
    for file in sorted(folder.rglob("*")):
        parts = file.relative_to(folder).parts
        if file.is_file() and not any(part.startswith(".") or part == "__pycache__" for part in parts):
            found["/".join([*([under] if under else []), *parts])] = file
    if not found:
        raise UserError(f"{folder}: no files here; give the folder that is to be uploaded")
    return found


def is_same(file: Path, remote: RepoFile) -> bool:
    """By hash: of the content where the Hub stores it as a large file, else git's."""
    return Blob(remote.size, remote.lfs.sha256 if remote.lfs else remote.blob_id).matches(file)


def readable(size: int) -> str:
    """Bytes as people read them."""
    value, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
