"""Checkpoints go to the Hub while a run goes on, so that it can go on from there on another machine.

    training/recipe.json            the recipe, without the paths of this machine
    training/log.jsonl              up to that checkpoint
    training/checkpoints/NNNNNN/    the newest one that was uploaded; the one before goes in the same commit

A checkpoint is hard-linked aside, so that rotation can't take it away, and a thread uploads it: 25 MB then cost the
steps about 0.2 s in all, less than to start a process for it. What befalls the Hub never stops the run: the next
checkpoint tries again, and so does the end.
"""

import contextlib
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from huggingface_hub import HfApi
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

from ganhub.errors import UserError, first_line
from ganhub.explain import HUB_ERRORS, NO_TOKEN, bounded, explain, is_passing, token_to_send
from ganhub.layout import RECIPE_FILE
from ganhub.push import push
from ganhub.push_job import already_public, check_id
from training.clock import Clock
from training.export import portable
from training.recipe import Recipe
from training.runlog import LOG_FILE

log = logging.getLogger(__name__)

HUB_FOLDER = "training"
ASIDE = ".upload"
ANSWER = 10.0  # seconds for each answer of the first check
PATIENCE = 600.0  # seconds that the end of a run waits for its last upload
SHORT_PATIENCE = 10.0  # the same for a run that was stopped or failed


class Backup:
    """Uploads a run's checkpoints to `training/` of a model repo, one at a time, in the background.

    Args:
        repo: Hub id, "user/name"; created when needed.
        kimg: upload the first checkpoint after each so many thousand images.
        private: create the repo so.
        token: of the Hub; else the client's own.
    """

    def __init__(self, repo: str, kimg: float, private: bool = False, token: str | None = None):
        self.repo, self.kimg, self.private, self.token = repo, kimg, private, token
        self.report = ""
        """How the last upload went, once the run is over."""
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._waiting: Path | None = None
        self._newest: Path | None = None
        self._window = 0
        self._wanted = self._uploaded = ""
        self._failed = False

    def check(self, save_kimg: float) -> None:
        """Find out before anything is read what would keep every upload from working.

        Raises:
            UserError: no token or an unknown one, a name that can't be one, or an interval without sense.
        """
        if not self.kimg >= save_kimg:
            raise UserError(
                f"--push-every {self.kimg:g} is less than --save-kimg {save_kimg:g}, and only checkpoints are "
                f"uploaded; lower --save-kimg too"
            )
        if not token_to_send(self.repo, self.token):
            raise UserError(f"{self.repo}: {NO_TOKEN}")
        self._ask(lambda api: api.whoami())

    def create(self) -> None:
        """Make the repo, once the run is sure to begin.

        Raises:
            UserError: no rights, or it is to be private and is public.
        """
        self._ask(self._reach)

    def _ask(self, question: Callable[[HfApi], object]) -> None:
        """A Hub that is away is no reason not to begin: a warning, and the checkpoints will try."""
        api = HfApi(token=self.token)
        try:
            check_id(self.repo)
            with bounded(self.repo, ANSWER, ANSWER):
                question(api)
        except UserError:
            raise
        except HUB_ERRORS as error:
            if not is_passing(error):
                raise explain(error, self.repo, api) from error
            log.warning("%s; training starts, its checkpoints will try again", explain(error, self.repo))

    def _reach(self, api: HfApi) -> None:
        api.create_repo(self.repo, private=self.private or None, exist_ok=True)
        api.auth_check(self.repo, write=True)
        if self.private and not api.model_info(self.repo).private:
            raise already_public(self.repo)

    def start(self, recipe: Recipe, run_dir: Path, clock: Clock) -> Self:
        """Begin with a run; use the result as a context, whose end waits for the last upload."""
        self._recipe, self._run_dir, self._aside = portable(recipe), run_dir, run_dir / ASIDE
        self._window = self._window_of(clock)
        shutil.rmtree(self._aside, ignore_errors=True)  # of a run that was killed
        return self

    def __enter__(self) -> Self:
        self._hide_bars = not are_progress_bars_disabled()
        if self._hide_bars:
            disable_progress_bars()
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        self._finish(SHORT_PATIENCE if kind else PATIENCE)
        if self._hide_bars:
            enable_progress_bars()

    def _window_of(self, clock: Clock) -> int:
        return int(clock.images / (1000 * self.kimg))

    def saved(self, checkpoint: Path, clock: Clock) -> None:
        """A checkpoint was written; where one is due, or the last upload failed, its upload starts."""
        self._newest = checkpoint
        window = self._window_of(clock)
        if window > self._window or self._failed:
            self._window = window
            self._submit(checkpoint)

    def _submit(self, checkpoint: Path) -> None:
        """Put a checkpoint in line; one that still waits there is dropped."""
        if self._wanted == checkpoint.name and not self._failed:
            return
        try:
            staged = self._stage(checkpoint)
        except OSError as error:
            log.warning("%s: not uploaded (%s)", checkpoint, first_line(error))
            self._failed = True
            return
        with self._lock:
            self._wanted, self._failed = checkpoint.name, False
            dropped, self._waiting = self._waiting, staged
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="upload", daemon=True)
                self._thread.start()
        if dropped and dropped != staged:
            shutil.rmtree(dropped, ignore_errors=True)

    def _stage(self, checkpoint: Path) -> Path:
        staged = self._aside / checkpoint.name
        shutil.rmtree(staged, ignore_errors=True)
        folder = staged / "checkpoints" / checkpoint.name
        folder.mkdir(parents=True)
        for file in checkpoint.iterdir():
            try:
                os.link(file, folder / file.name)
            except OSError:  # a file system without hard links
                shutil.copyfile(file, folder / file.name)
        self._recipe.save(staged / RECIPE_FILE)
        if (self._run_dir / LOG_FILE).exists():
            shutil.copyfile(self._run_dir / LOG_FILE, staged / LOG_FILE)
        return staged

    def _work(self) -> None:
        """The thread: upload what waits until nothing does."""
        while True:
            with self._lock:
                staged, self._waiting = self._waiting, None
                if staged is None:
                    self._thread = None
                    return
            problem = self._upload(staged)
            shutil.rmtree(staged, ignore_errors=True)
            with self._lock:
                if problem:
                    self._failed = self._waiting is None
                else:
                    self._uploaded = staged.name
            if problem:
                log.warning("%s; training goes on, the next checkpoint tries again", problem)

    def _upload(self, staged: Path) -> str:
        """What went wrong, or nothing."""
        try:
            push(
                staged,
                self.repo,
                private=self.private or None,
                token=self.token,
                message=f"Checkpoint {staged.name}",
                under=HUB_FOLDER,
                keep=lambda path: False,
            )
        except Exception as error:  # whatever it is, training is worth more
            return first_line(error) if isinstance(error, UserError) else f"{self.repo}: {first_line(error)}"
        return ""

    def _wait(self, deadline: float) -> None:
        if thread := self._thread:
            with contextlib.suppress(KeyboardInterrupt):
                thread.join(max(0.0, deadline - time.monotonic()))

    def _finish(self, patience: float) -> None:
        """Upload the newest checkpoint if that didn't happen yet, and wait for it; Ctrl-C gives up waiting."""
        if self._newest is None:
            return
        newest = self._newest.name
        deadline = time.monotonic() + patience
        under_way = self._thread is not None
        self._submit(self._newest)
        self._wait(deadline)
        if under_way and self._failed:  # an attempt of before; this is the one of the end
            self._submit(self._newest)
            self._wait(deadline)
        if self._uploaded == newest:
            shutil.rmtree(self._aside, ignore_errors=True)
            self.report = (
                f"{self.repo}: has checkpoint {newest}; go on from it anywhere with --resume-from hub://{self.repo}"
            )
            return
        why = "failed" if self._failed else "didn't end in time"
        has = f"shows checkpoint {self._uploaded}" if self._uploaded else "got none"
        self.report = f"{self.repo}: the upload of checkpoint {newest} {why}; the Hub {has}, --resume tries again"
