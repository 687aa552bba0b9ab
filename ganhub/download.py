"""Hub ids to folders in the cache: asked for once, fetched file by file at one commit, verified, and patient."""

import contextlib
import errno
import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, get_session, hf_hub_url, is_offline_mode
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils import httpx, validate_repo_id

from ganhub import __version__
from ganhub.errors import UserError, first_line
from ganhub.explain import LOGIN, GarbledError, explain, innermost, token_to_send
from ganhub.layout import Wanted, few_sheets, limit
from ganhub.patience import ERRORS, DamagedError, Patience, ask_briefly, brief, patiently
from ganhub.store import REVISION, Commit, Store, make_commit
from ganhub.transfer import fetch_file

PATIENCE_WITH_COPY = 2.0  # seconds of failures when a newer version is fetched and an older one would do
MAX_ASKED = 200  # files whose sizes are asked for one by one
DEFINITE = (401, 403, 404, 451)
HUBS_OWN = ("X-Error-Code", "X-Error-Message")  # headers of its refusals
CANT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)

logger = logging.getLogger("ganhub")


@dataclass(frozen=True)
class Source:
    """Where to look, and as whom."""

    revision: str | None = None
    token: str | bool | None = field(default=None, repr=False)
    cache_dir: str | Path | None = None
    local_files_only: bool = False

    def __getstate__(self) -> dict[str, Any]:
        """What a pickle holds, which may go to others: no token."""
        return self.__dict__ | {"token": None if isinstance(self.token, str) else self.token}


def download(repo: str, wanted: Wanted, source: Source, fresh: bool = False) -> Path:
    """The folder of a Hub repo at one commit, with all that is wanted in it.

    A commit that is in the cache needs no request, once the Hub has said what is in it. A cached branch or tag is used
    when the Hub doesn't name its commit at once (see `ganhub.patience.brief`); that is logged, and an answer that comes
    later is noted for the next call.

    Args:
        repo: Hub id.
        wanted: what is needed of it.
        source: where to look.
        fresh: never settle for the copy in the cache.

    Raises:
        UserError: there is no such repo or revision, it isn't for this token, it lacks what is wanted, it is larger
            than anything of ours, or it can't be fetched and there is no copy.
    """
    revision = source.revision or "main"
    if not REVISION.fullmatch(revision):
        raise UserError(f"{repo}: {revision!r} is no branch, tag or commit")
    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise UserError(f"{repo}: not a Hub id ({first_line(error)})") from error
    store = Store(repo, source.cache_dir)
    try:
        whole = None if fresh else store.copy(revision, wanted)
        bare = replace(wanted, card=wanted.everything)  # loads as well as one with its card
        copy = whole or (None if fresh else store.copy(revision, bare))
        if source.local_files_only or is_offline_mode():
            if fresh:
                raise UserError(f"{repo}: HF_HUB_OFFLINE is set, and only the Hub has the newest version; unset it")
            if copy is None:
                raise UserError(
                    f"{repo}: no folder here, not whole in the cache, and the Hub may not be asked; load it once online"
                )
        elif copy is None:
            copy = patient(store, wanted, source, revision)
        elif whole is None or whole.id != revision or store.remembered(revision) is None:
            copy = prompt(store, wanted, source, revision, copy, whole is not None)
    except UserError:
        raise
    except ERRORS as error:
        if fresh and isinstance(error, httpx.ConnectError):
            raise UserError(f"{repo}: the Hub can't be reached, and only it has the newest version") from error
        raise said(error, store, revision) from error
    return store.path(copy.id)


def patient(store: Store, wanted: Wanted, source: Source, revision: str) -> Commit:
    """Nothing usable is in the cache: the Hub's word, however long that takes within reason."""
    patience = Patience()
    commit = patiently(lambda timeout: ask(store.repo, source, timeout), patience)
    fetch(store, commit, wanted, source, patience)
    store.point(revision, commit.id)
    return commit


def prompt(store: Store, wanted: Wanted, source: Source, revision: str, copy: Commit, whole: bool) -> Commit:
    """The Hub's word if it comes at once, else the copy; a copy that lacks its card (not `whole`) waits a little."""
    with contextlib.suppress(Exception):  # the question raises it again
        get_session()  # before the clock starts

    def late(commit: Commit) -> None:
        if commit.id != copy.id == store.find(revision):
            store.note_newer(revision, commit)
        elif commit.id == copy.id:  # the next load knows what another program left out
            store.note(commit)

    seconds = brief() if whole else PATIENCE_WITH_COPY
    answer = ask_briefly(lambda: ask(store.repo, source), seconds, late)
    if isinstance(answer, Exception) and is_definite(answer):
        raise answer
    newest = answer if isinstance(answer, Commit) else store.newer(revision) if answer is None else None
    reason = f"the Hub didn't answer within {seconds:g} s" if answer is None else "the Hub can't be asked"
    if isinstance(answer, UserError):
        reason += f" ({str(answer).removeprefix(f'{store.repo}: ')})"
    if newest is not None and not (whole and newest.id == copy.id and has_all(copy, newest, wanted)):
        if newest is not answer:
            logger.warning("%s: has a newer version, %s; fetching it", store.repo, newest.id[:7])
        try:
            fetch(store, newest, wanted, source, Patience(PATIENCE_WITH_COPY))
            store.point(revision, newest.id)
            return newest
        except ERRORS as error:
            if isinstance(error, UserError) or is_definite(error):
                raise
            reason = f"its version {newest.id[:7]} can't be fetched"
            store.forget_newer(revision)  # or the next load would wait for it again
    elif isinstance(answer, Commit):
        store.note(answer)
        return copy
    logger.warning("%s: %s; using the copy of %s from the cache", store.repo, reason, copy.id[:7])
    return copy


def has_all(copy: Commit, announced: Commit, wanted: Wanted) -> bool:
    """Is all that is wanted in the copy? Of a commit that another program fetched only what that took is known."""
    return copy.files.keys() >= set(wanted.choose(announced.id, announced.files))


def ask(repo: str, source: Source, timeout: float = 10.0) -> Commit:
    """What the Hub has of a repo, in one request; one more a file where it tells no sizes and hashes in that."""
    api = HfApi(token=token_to_send(repo, source.token), library_name="ganhub", library_version=__version__)
    try:
        info = api.model_info(repo, revision=source.revision, files_metadata=True, timeout=timeout)
        siblings = {sibling.rfilename: sibling for sibling in info.siblings or [] if limit(sibling.rfilename)}
        known = {name: announced(siblings[name]) for name in few_sheets(siblings)}
        if (silent := sum(found is None for found in known.values())) > MAX_ASKED:
            raise UserError(f"{repo}: has {silent:,} files of unknown size; ganhub asks for at most {MAX_ASKED}")
        urls = {name: hf_hub_url(repo, name, revision=info.sha) for name in known}
        files = {name: found or by_headers(api, urls[name], timeout) for name, found in known.items()}
        return make_commit(info.sha, files)
    except UserError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise GarbledError(f"{repo}: {first_line(error)}") from error


def announced(sibling: RepoSibling) -> tuple[Any, Any] | None:
    """Size and digest of a file, where the Hub tells them with the list of files."""
    if sibling.lfs:
        return sibling.lfs.size, sibling.lfs.sha256
    return (sibling.size, sibling.blob_id) if sibling.blob_id else None


def by_headers(api: HfApi, url: str, timeout: float) -> tuple[Any, Any]:
    """The same from the headers of the file itself: a mirror may tell them only there."""
    head = api.get_hf_file_metadata(url=url, timeout=timeout)
    return head.size, head.etag


def fetch(store: Store, commit: Commit, wanted: Wanted, source: Source, patience: Patience) -> None:
    """Bring all that is wanted of a commit into the cache."""
    names = wanted.choose(store.repo, commit.files)
    for name in names:
        size, most = commit.files[name].size, limit(name) or 0
        if size > most:
            raise UserError(f"{store.repo}: {name} has {size:,} bytes; ganhub reads at most {most:,} of such a file")
    if (size := sum(commit.files[name].size for name in names)) > wanted.most():
        raise UserError(f"{store.repo}: its files have {size:,} bytes; ganhub reads at most {wanted.most():,} of them")
    store.remember(commit)
    for name in names:
        if not store.intact(commit, name) and not store.reuse(commit, name):
            fetch_file(store, commit, name, token_to_send(store.repo, source.token), patience)


def is_definite(error: BaseException) -> bool:
    """Did the Hub itself say no, and not a proxy on the way to it?"""
    response = getattr(innermost(error), "response", None)
    return response is not None and response.status_code in DEFINITE and any(map(response.headers.get, HUBS_OWN))


def is_of_cache(error: OSError, folder: Path) -> bool:
    """Is it the cache that can't be written, and not a certificate that can't be read?"""
    file = None if error.filename is None else Path(str(error.filename))
    return error.errno in CANT_WRITE or (
        file is not None and (file.is_relative_to(folder) or folder.is_relative_to(file))
    )


def said(error: BaseException, store: Store, revision: str) -> UserError:
    """The line for an error of loading."""
    repo = store.repo
    page = f"{constants.ENDPOINT}/{repo}"
    if isinstance(error, HfHubHTTPError) and error.response.status_code in (401, 403) and not is_definite(error):
        return explain(GarbledError(), repo)
    if isinstance(error, RevisionNotFoundError):
        return UserError(f"{repo}: has no revision {revision!r} on the Hub")
    if isinstance(error, GatedRepoError):
        return UserError(f"{repo}: is gated; accept its terms at {page}, and {LOGIN} of an account that did")
    if isinstance(error, RepositoryNotFoundError):
        return UserError(
            f"{repo}: no such model on the Hub and no such folder here; or it is private and no valid token is set "
            f"({LOGIN})"
        )
    if isinstance(error, HfHubHTTPError) and error.response.status_code == 401:
        return UserError(f"{repo}: the Hub doesn't accept this token; {LOGIN} with a valid one")
    if isinstance(error, DamagedError):
        return UserError(f"{repo}: {error}; try again, and tell its owner if it stays so")
    if isinstance(error, httpx.ConnectError):
        return UserError(
            f"{repo}: no folder here, nothing to go by in the cache, and the Hub can't be reached; try online"
        )
    if isinstance(error, OSError) and not isinstance(error, ConnectionError | HfHubHTTPError):
        why = error.strerror or first_line(error)
        if is_of_cache(error, store.folder):
            return UserError(f"{repo}: the cache can't be written ({why}); make room or set HF_HOME")
        return UserError(f"{repo}: the Hub can't be asked ({why}); check SSL_CERT_FILE, SSL_CERT_DIR and the network")
    return explain(error, repo)
