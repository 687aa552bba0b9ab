"""The Hub's cache on this disk: the layout of huggingface_hub, so that its own tools see and clean what is here.

    models--user--repo/
      refs/REVISION              the commit that a branch or tag was at
      blobs/DIGEST               contents, named by their sha256 (LFS) or git's sha1
      snapshots/COMMIT/PATH      links into blobs
      ganhub/COMMIT.json         what the Hub announced for that commit: {"PATH": [size, digest]}
      ganhub/newer/REVISION      a commit that the Hub named after its answer was no longer waited for

Every file appears whole or not at all, by a rename from a name of its own, so neither a kill nor another process can
leave half of one. What is read is compared with its digest each time.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import constants

from ganhub.errors import UserError
from ganhub.files import read_object
from ganhub.layout import Wanted, limit

COMMIT = re.compile(r"[0-9a-f]{40}")
DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
REVISION = re.compile(r"(?!.*(?:\.\.|//|@\{))[\w][\w./+-]{0,200}(?<![./])(?<!\.lock)", re.ASCII)  # as git takes them
STALE = 3600  # seconds after which an unfinished download belongs to nobody


@dataclass(frozen=True)
class Blob:
    """What the Hub announced of a file: bytes, and its sha256 (64 digits) or git's sha1 of it (40)."""

    size: int
    digest: str

    def hasher(self) -> Any:
        """A hash that gives `digest` once it was fed the whole file."""
        return hashlib.sha256() if len(self.digest) == 64 else hashlib.sha1(b"blob %d\0" % self.size)

    def matches(self, file: Path) -> bool:
        """Does the file hold what was announced?"""
        if file.stat().st_size != self.size:
            return False
        hasher = self.hasher()
        with file.open("rb") as content:
            while piece := content.read(2**20):
                hasher.update(piece)
        return hasher.hexdigest() == self.digest


@dataclass(frozen=True)
class Commit:
    """The state of a repo: its id, and those of its files that ganhub reads."""

    id: str
    files: dict[str, Blob]


def make_commit(commit: Any, files: dict[str, tuple[Any, Any]]) -> Commit:
    """Of what a server or a file says: path -> (size, digest).

    Raises:
        ValueError: that can't be so.
    """
    if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
        raise ValueError(f"{commit!r} is no commit")
    blobs = {}
    for path, (size, digest) in files.items():
        if limit(path) is None:
            continue
        if not isinstance(size, int) or not isinstance(digest, str) or not DIGEST.fullmatch(digest) or size < 0:
            raise ValueError(f"no size and digest of {path}")
        blobs[path] = Blob(size, digest)
    return Commit(commit, blobs)


class Store:
    """The cache of one repo.

    Args:
        repo: Hub id.
        cache_dir: of huggingface_hub's layout; its own default (HF_HUB_CACHE) when None.
    """

    def __init__(self, repo: str, cache_dir: str | Path | None = None):
        self.repo = repo
        self.folder = Path(cache_dir or constants.HF_HUB_CACHE).expanduser() / f"models--{repo.replace('/', '--')}"

    def path(self, commit: str, name: str = "") -> Path:
        return self.folder / "snapshots" / commit / name

    def find(self, revision: str) -> str | None:
        """The commit that a revision was at when it was last fetched."""
        return revision if COMMIT.fullmatch(revision) else self._read(self.folder / "refs" / revision)

    def point(self, revision: str, commit: str) -> None:
        if revision != commit:
            self._write(self.folder / "refs" / revision, commit)

    def newer(self, revision: str) -> Commit | None:
        """A newer commit than `find` gives, that is known from an answer that came late.

        What was noted before the revision was fetched again, by whomever, may be older by now.
        """
        note, ref = self.folder / "ganhub" / "newer" / revision, self.folder / "refs" / revision
        if (commit := self._read(note)) is None or commit == self.find(revision):
            return None
        with contextlib.suppress(OSError):
            if note.stat().st_mtime_ns <= ref.stat().st_mtime_ns:
                return None
        return self.recall(commit)

    def note_newer(self, revision: str, commit: Commit) -> None:
        with contextlib.suppress(OSError):  # a cache that can't be written to still serves
            self.remember(commit)
            self._write(self.folder / "ganhub" / "newer" / revision, commit.id)

    def forget_newer(self, revision: str) -> None:
        with contextlib.suppress(OSError):
            (self.folder / "ganhub" / "newer" / revision).unlink(missing_ok=True)

    def note(self, commit: Commit) -> None:
        """`remember` it where that is news, if the cache can be written to."""
        with contextlib.suppress(OSError):
            if self.remembered(commit.id) != commit:
                self.remember(commit)

    def remember(self, commit: Commit) -> None:
        files = {path: [blob.size, blob.digest] for path, blob in commit.files.items()}
        self._write(self.folder / "ganhub" / f"{commit.id}.json", json.dumps(files, indent=1))

    def remembered(self, commit: str) -> Commit | None:
        """What the Hub announced for a commit; None where it was never asked."""
        try:
            files = read_object(self.folder / "ganhub" / f"{commit}.json")
            return make_commit(commit, {path: (size, digest) for path, (size, digest) in files.items()})
        except (FileNotFoundError, UserError, ValueError, TypeError):
            return None

    def recall(self, commit: str) -> Commit | None:
        """The same; by its links where another program fetched it, perhaps in part; None when unknown."""
        if known := self.remembered(commit):
            return known
        files = {}
        for file in self.path(commit).rglob("*"):
            if file.is_symlink() and file.is_file():
                name = file.relative_to(self.path(commit)).as_posix()
                files[name] = (file.stat().st_size, file.readlink().name)
        with contextlib.suppress(ValueError):
            return make_commit(commit, files) if files else None
        return None

    def copy(self, revision: str, wanted: Wanted) -> Commit | None:
        """The commit that `revision` was last seen at, when all that is wanted of it is here and intact."""
        try:
            commit = (found := self.find(revision)) and self.recall(found)
            names = wanted.choose(self.repo, commit.files) if commit else []
        except UserError:
            return None
        return commit if commit and all(self.intact(commit, name) for name in names) else None

    def intact(self, commit: Commit, name: str) -> bool:
        """Is the file here, as it was announced? One that isn't as announced is deleted."""
        file, blob = self.path(commit.id, name), commit.files[name]
        if not file.is_file():
            return False
        if blob.matches(file):
            return True
        with contextlib.suppress(OSError):
            (self.folder / "blobs" / blob.digest).unlink(missing_ok=True)
            file.unlink()
        return False

    @contextlib.contextmanager
    def aside(self, blob: Blob) -> Iterator[Path]:
        """A new file of nobody else's to download to; gone afterwards, unless `place` took it."""
        self.folder.joinpath("blobs").mkdir(parents=True, exist_ok=True)
        for left in [*self.folder.glob("blobs/*.incomplete"), *self.folder.glob("ganhub/.*")]:
            with contextlib.suppress(OSError):
                if time.time() - left.lstat().st_mtime > STALE:
                    left.unlink()
        file = self.folder / "blobs" / f"{blob.digest}.{uuid.uuid4().hex[:8]}.incomplete"
        try:
            yield file
        finally:
            file.unlink(missing_ok=True)

    def place(self, aside: Path, commit: Commit, name: str) -> None:
        """A verified download becomes the blob, and the commit's file a link to it."""
        os.replace(aside, self.folder / "blobs" / commit.files[name].digest)
        self._link(commit, name)

    def reuse(self, commit: Commit, name: str) -> bool:
        """Link a blob that another commit brought, if there is such a one and it is intact."""
        blob = commit.files[name]
        file = self.folder / "blobs" / blob.digest
        if not file.is_file() or not blob.matches(file):
            return False
        self._link(commit, name)
        return True

    def _link(self, commit: Commit, name: str) -> None:
        file, blob = self.path(commit.id, name), self.folder / "blobs" / commit.files[name].digest
        file.parent.mkdir(parents=True, exist_ok=True)
        link = self._unique()
        try:
            link.symlink_to(os.path.relpath(blob, file.parent))
        except OSError:  # a disk without such links
            try:
                os.link(blob, link)
            except OSError:  # or without any
                shutil.copyfile(blob, link)
        os.replace(link, file)

    def _read(self, file: Path) -> str | None:
        try:
            text = file.read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return None
        return text if COMMIT.fullmatch(text) else None

    def _unique(self) -> Path:
        """A name of nobody else's, where no other program looks."""
        folder = self.folder / "ganhub"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f".{uuid.uuid4().hex[:8]}"

    def _write(self, file: Path, text: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        aside = self._unique()
        try:
            aside.write_text(text, encoding="utf-8", newline="\n")
            os.replace(aside, file)
        finally:
            aside.unlink(missing_ok=True)
