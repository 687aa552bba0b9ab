"""`train --resume-from hub://user/name`: the run that `training.backup` put on the Hub, as a run folder here.

Only what a checkpoint is made of is fetched, by exact names, sizes and hashes: JSON and safetensors, never a pickle.
"""

import re
import tempfile
import time
from pathlib import Path

from accelerate import PartialState
from accelerate.utils import parse_flag_from_env
from huggingface_hub import HfApi
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFile

from ganhub.differences import is_same
from ganhub.errors import UserError, first_line
from ganhub.explain import HUB_ERRORS, bounded, explain, is_passing, token_to_send
from ganhub.files import MAX_JSON
from ganhub.layout import RECIPE_FILE
from training.backup import HUB_FOLDER
from training.checkpoint import folders, read_record
from training.processes import WAIT
from training.recipe import Recipe
from training.runlog import LOG_FILE

ADDRESS = re.compile(r"hub://(?P<repo>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>[\w./-]+))?", re.ASCII)
STEP = r"checkpoints/\d{1,12}/"
TENSORS = re.compile(STEP + r"(generator|discriminator|ema|g_optimizer|d_optimizer|memory)\.safetensors", re.ASCII)
RANDOM = re.compile(STEP + r"rng-(0|[1-9]\d{0,3})\.safetensors", re.ASCII)  # of each process
STATE = re.compile(STEP + r"state\.json", re.ASCII)
NEEDED = ("generator", "discriminator", "ema", "g_optimizer", "d_optimizer", "rng-0")
MAX_LOG = 64 * 2**20
MAX_TENSORS = 6 * 2**30  # of one file: an optimiser keeps two numbers for each of at most 500 million parameters
MAX_RANDOM = 2**22
MAX_TOTAL = 2**34  # of all that is downloaded: three networks and two optimisers of so many parameters
PAUSES = (0.5, 2.0, 5.0)  # seconds before each further try of a file
ANSWER, PATIENCE = 60.0, 30.0  # seconds for an answer, and of a rate limit that are still waited for


def restore(address: str, run_dir: Path) -> None:
    """Make `run_dir` the run of a Hub repo, ready to be resumed; call it on every process.

    Args:
        address: "hub://user/name", or "hub://user/name@revision" for an older state.
        run_dir: a folder that isn't there yet, or is empty.

    Raises:
        UserError: the folder is taken, there is no such run, or what is there isn't one; nothing is left behind.
    """
    found = ADDRESS.fullmatch(address)
    if not found:
        raise UserError(f"--resume-from {address}: not an address such as hub://user/name or hub://user/name@revision")
    # as the Accelerator of the run asks later
    state = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"), timeout=WAIT)
    if state.is_main_process:
        check_free(run_dir)
        try:
            run_dir.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=run_dir.parent, prefix=".restore-") as aside:
                run = fetch(found["repo"], found["revision"], Path(aside))
                run.rename(run_dir)
        except UserError:
            raise
        except OSError as error:
            raise UserError(f"{run_dir}: can't be written ({first_line(error)})") from error
    state.wait_for_everyone()


def check_free(run_dir: Path) -> None:
    if folders(run_dir) or (run_dir / RECIPE_FILE).exists():
        raise UserError(f"{run_dir}: already holds a run; go on with --resume, or give --resume-from another --run-dir")
    if run_dir.exists() and (not run_dir.is_dir() or any(run_dir.iterdir())):
        raise UserError(f"{run_dir}: is not empty; give --resume-from another --run-dir")


def fetch(repo: str, revision: str | None, aside: Path) -> Path:
    """Download a run into `aside`; returns its folder, whole and checked."""
    api = HfApi(token=token_to_send(repo, None))
    with bounded(repo, ANSWER, PATIENCE):
        try:
            commit, files = look(api, repo, revision)
            names = choose(repo, files)
            for name in names:
                fetch_file(api, repo, commit, files[name], aside)
        except UserError:
            raise
        except RevisionNotFoundError as error:
            raise UserError(f"{repo}: has no revision {revision!r} on the Hub") from error
        except RepositoryNotFoundError as error:
            raise UserError(f"{repo}: no such repo on the Hub, or it is private and no valid token is set") from error
        except HUB_ERRORS as error:
            raise explain(error, repo, api) from error
    run = aside / HUB_FOLDER
    (checkpoint,) = folders(run)
    (run / "checkpoints" / "latest").symlink_to(checkpoint.name)
    Recipe.load(run / RECIPE_FILE).check()
    read_record(checkpoint)
    return run


def fetch_file(api: HfApi, repo: str, commit: str, file: RepoFile, aside: Path) -> None:
    """Download one file to its path below `aside`, and again where that failed in a way that passes."""
    for pause in (*PAUSES, None):
        try:
            api.hf_hub_download(repo, file.path, revision=commit, local_dir=aside)
            if is_same(aside / file.path, file):
                return
            error: BaseException = UserError(f"{repo}: {file.path} arrived damaged; try again")
        except HUB_ERRORS as failure:
            cut_short = isinstance(failure, OSError) and failure.errno is None
            if not cut_short and not is_passing(failure):
                raise
            error = failure
        if pause is None:
            raise error
        (aside / file.path).unlink(missing_ok=True)  # or it would count as downloaded
        time.sleep(pause)


def look(api: HfApi, repo: str, revision: str | None) -> tuple[str, dict[str, RepoFile]]:
    """The commit that a revision is, and what its training/ holds: path below it -> file."""
    commit = str(api.model_info(repo, revision=revision).sha)
    entries = api.list_repo_tree(repo, recursive=True, revision=commit)
    inside = f"{HUB_FOLDER}/"
    files = {entry.path: entry for entry in entries if isinstance(entry, RepoFile) and entry.path.startswith(inside)}
    return commit, {path.removeprefix(inside): file for path, file in files.items()}


def choose(repo: str, files: dict[str, RepoFile]) -> list[str]:
    """What to download: the recipe, the log and the newest checkpoint.

    Raises:
        UserError: there is no run, it isn't whole, or there is anything else beside it.
    """
    for name, file in files.items():
        if (most := largest(name)) is None:
            raise UserError(f"{repo}: {HUB_FOLDER}/{name} is no part of a run that ganhub wrote; nothing is downloaded")
        if file.size > most:
            raise UserError(f"{repo}: {HUB_FOLDER}/{name} has {file.size:,} bytes, at most {most:,} are taken")
    steps = [name.split("/")[1] for name in files if STATE.fullmatch(name)]
    if not steps or RECIPE_FILE not in files:
        raise UserError(f"{repo}: holds no run to go on from ({HUB_FOLDER}/); one is put there by train --push-every")
    folder = f"checkpoints/{max(steps, key=int)}/"
    if missing := [part for part in NEEDED if f"{folder}{part}.safetensors" not in files]:
        raise UserError(f"{repo}: {HUB_FOLDER}/{folder}{missing[0]}.safetensors is missing, so the run isn't whole")
    chosen = [name for name in files if not name.startswith("checkpoints/") or name.startswith(folder)]
    processes = sorted(int(found[1]) for name in chosen if (found := RANDOM.fullmatch(name)))
    if processes != list(range(len(processes))):
        raise UserError(f"{repo}: {HUB_FOLDER}/{folder} lacks the random state of a process, so the run isn't whole")
    if (size := sum(files[name].size for name in chosen)) > MAX_TOTAL:
        raise UserError(f"{repo}: {HUB_FOLDER}/ has {size:,} bytes, at most {MAX_TOTAL:,} are taken")
    return chosen


def largest(name: str) -> int | None:
    """Bytes that a file of training/ may have; None for one that ganhub doesn't write."""
    if name == RECIPE_FILE or STATE.fullmatch(name):
        return MAX_JSON
    if name == LOG_FILE:
        return MAX_LOG
    if RANDOM.fullmatch(name):
        return MAX_RANDOM
    return MAX_TENSORS if TENSORS.fullmatch(name) else None
