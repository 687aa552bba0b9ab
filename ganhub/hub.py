"""Names to folders: a zoo name, a local folder or a Hub id becomes a folder that can be loaded."""

import re
import shutil
import tempfile
from pathlib import Path

from ganhub import layout
from ganhub.download import Source, download
from ganhub.errors import UserError
from ganhub.layout import INDEX_FILE, Wanted, local_snapshots, snapshot_folder, snapshots_in
from ganhub.store import Store

ZOO = Path(__file__).parent / "zoo"
HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)


def zoo_names() -> list[str]:
    """The GANs that come with the package."""
    return sorted(folder.parent.name for folder in ZOO.glob(f"*/{INDEX_FILE}"))


def resolve(
    name: str | Path,
    revision: str | None = None,
    discriminator: bool = False,
    *,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    variant: str | None = None,
    snapshot: int | None = None,
) -> Path:
    """The folder of a model, with its card.

    Args:
        name: a zoo name ("digits"), a folder, or a Hub id ("user/repo"), looked up in that order.
        revision: branch, tag or commit of a Hub id.
        discriminator: also download the discriminator's weights.
        token: of the Hub; else HF_TOKEN or that of `hf auth login`.
        cache_dir: where downloads are kept; else where huggingface_hub keeps them.
        local_files_only: ask nobody; take what is in the cache.
        variant: which weights to download, such as "fp16".
        snapshot: real images shown: the folder of the generator as it was then.

    Raises:
        UserError: there is no such model, it lacks what was asked for, or the Hub can't be reached and the model isn't
            in the cache.
    """
    parts = layout.parts(discriminator)
    return locate(
        name,
        Wanted(parts, variant, snapshot),
        Source(revision, token, cache_dir, local_files_only),
    )


def locate(name: str | Path, wanted: Wanted, source: Source) -> Path:
    """As `resolve`, for what is wanted and no more."""
    folder = find_here(name, source.revision) or download(str(name), wanted, source)
    if wanted.snapshot is None:
        return folder
    inner = folder / snapshot_folder(wanted.snapshot)
    if not inner.is_dir():
        known = ", ".join(map(str, local_snapshots(folder))) or "none"
        raise UserError(f"{name}: has no snapshot {wanted.snapshot}; its snapshots: {known}")
    return inner


def find_here(name: str | Path, revision: str | None = None) -> Path | None:
    """The folder of a zoo name or of a folder; None for a Hub id.

    Raises:
        UserError: it can't be any of these, or a revision is asked for of what has none.
    """
    text = str(name)
    if text in zoo_names():
        refuse_revision(text, "comes with ganhub", revision)
        return ZOO / text
    try:
        folder = Path(text).expanduser()
        if folder.is_dir():
            refuse_revision(text, "is a folder here", revision)
            return folder
        if folder.exists():
            raise UserError(f"{text}: is a file; give the model folder that holds {INDEX_FILE}")
    except (OSError, RuntimeError):  # too long for a path, or ~ of nobody
        pass
    if not HUB_ID.fullmatch(text):
        raise UserError(
            f"{text}: no such model; known: {', '.join(zoo_names())}, a folder, or a Hub id such as user/repo"
        )
    return None


def refuse_revision(name: str, what: str, revision: str | None) -> None:
    if revision:
        raise UserError(f"{name}: {what} and has no revisions; leave out revision")


def snapshots(
    name: str | Path,
    revision: str | None = None,
    *,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
) -> list[int]:
    """Which snapshots a model has: the real images shown at each, oldest first; for `resolve(..., snapshot=)`.

    The generator of a Hub repo is fetched for that, so that what the cache calls the newest version can be loaded.

    Args:
        name, revision, token, cache_dir, local_files_only: as for `resolve`.

    Raises:
        UserError: as `resolve`.
    """
    if (folder := find_here(name, revision)) is not None:
        return local_snapshots(folder)
    source = Source(revision, token, cache_dir, local_files_only)
    folder = download(str(name), Wanted(card=False), source)
    commit = Store(str(name), cache_dir).recall(folder.name)
    return snapshots_in(commit.files if commit else ())


def pull(
    repo: str, wanted: Wanted, revision: str | None = None, out: Path | None = None, token: str | bool | None = None
) -> tuple[Path, str]:
    """Fetch the newest state of a Hub repo, patiently: unlike `resolve` it never settles for an older copy.

    Args:
        repo: Hub id.
        wanted: what to fetch.
        revision: branch, tag or commit.
        out: a folder to copy it to, out of the cache; must not exist yet.
        token: of the Hub; else HF_TOKEN or that of `hf auth login`.

    Returns:
        `out`, else the folder in the cache; and the commit.

    Raises:
        UserError: it can't be fetched, or `out` can't be written.
    """
    if not HUB_ID.fullmatch(repo):
        raise UserError(f"{repo}: no Hub id such as user/repo; only those are pulled")
    if out is not None and out.exists():
        raise UserError(f"{out}: is already there; give another --out")
    folder = download(repo, wanted, Source(revision, token), fresh=True)
    if out is None:
        return folder, folder.name
    try:
        copy_out(folder, fetched(repo, folder, wanted), out)
    except OSError as error:
        raise UserError(f"{out}: can't be written ({error.strerror or error})") from error
    return out, folder.name


def fetched(repo: str, folder: Path, wanted: Wanted, cache_dir: str | Path | None = None) -> list[str]:
    """The wanted files of a Hub repo's folder in the cache, and not what else other programs put there."""
    commit = Store(repo, cache_dir).recall(folder.name)
    return wanted.choose(repo, commit.files if commit else ())


def copy_out(folder: Path, names: list[str], out: Path) -> None:
    """Plain files instead of links into the cache; nothing appears until all of it is there."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as parent:
        aside = Path(parent, "model")
        for name in names:
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, aside / name)
        aside.rename(out)
