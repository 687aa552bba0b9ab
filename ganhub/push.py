"""A folder to the Hub as one commit: whole or not at all, and only what differs. `ganhub.push_job` does it."""

import re
from collections.abc import Callable
from pathlib import Path

from huggingface_hub import HfApi

from ganhub.differences import Pushed, is_foreign, local_files
from ganhub.errors import UserError
from ganhub.explain import NO_TOKEN, is_token, token_to_send
from ganhub.push_job import Allow, Job, Keep
from ganhub.store import REVISION

TAG = re.compile(r"\w[\w.-]{0,99}", re.ASCII)


def push(
    folder: Path,
    repo: str,
    *,
    repo_type: str = "model",
    private: bool | None = None,
    tag: str | None = None,
    create_pr: bool = False,
    token: str | None = None,
    message: str | None = None,
    dry_run: bool = False,
    under: str = "",
    keep: Keep | None = None,
    space_sdk: str | None = None,
    show: Callable[[Pushed], None] | None = None,
    allow: Allow | None = None,
) -> Pushed:
    """Make the repo show `folder`, in one commit; without one when it already does. The repo is created when needed.

    Killed or failing at any point, the repo shows its old state or the new one, and pushing again finishes the job.
    Hidden files (and `__pycache__`) stay at home. On the Hub, files that aren't in the folder are **deleted** where
    `keep` says no: by default, of a model repo, those which ganhub writes itself (`OURS`: other weights, old snapshots
    or measurements), never others; of a Space or a data set, none.

    Args:
        folder: what to upload, with its subfolders.
        repo: Hub id, "user/name".
        repo_type: "model", "dataset" or "space".
        private: create it so. A repo that is there stays as it is, and a public one is refused when True is asked.
        tag: to set on the commit. One that is already on another commit is refused before anything is uploaded.
        create_pr: open a pull request instead, unless an open one proposes the same; excludes `tag`.
        token: of the Hub; else the client's own (HF_TOKEN, `hf auth login`).
        message: of the commit.
        dry_run: only compare; needs a token for private repos alone.
        under: folder of the repo in which the files go; what is elsewhere is left alone.
        keep: path in the repo, of a file that isn't in `folder` -> does it stay?
        space_sdk: of a new Space, "gradio" for instance.
        show: called once, before the first upload, with what will be done; not where nothing is.
        allow: called with the paths that the repo has, before anything is uploaded; may raise UserError.

    Raises:
        UserError: one line; see `ganhub.explain`.
    """
    check_options(repo, tag, create_pr, token, dry_run)
    keep = keep or (is_foreign if repo_type == "model" else lambda path: True)
    api, files = HfApi(token=token), local_files(folder, under)
    job = Job(api, repo, repo_type, files, keep, private, tag, create_pr, message, under, space_sdk, show, allow)
    return job.run(dry_run)


def check_options(repo: str, tag: str | None, create_pr: bool, token: str | None, dry_run: bool) -> None:
    """Refuse what is known to fail before anybody is asked.

    Raises:
        UserError: names the option.
    """
    if token is not None and not (token and is_token(token)):
        raise UserError("--token: not a token of the Hub; it is one word that begins with hf_")
    if tag is not None and (create_pr or not TAG.fullmatch(tag) or not REVISION.fullmatch(tag)):
        why = "a pull request can't be tagged; tag it once it is merged" if create_pr else "not a name such as v1.0"
        raise UserError(f"--tag {tag}: {why}")
    if not token_to_send(repo, token) and not dry_run:
        raise UserError(f"{repo}: {NO_TOKEN}")
