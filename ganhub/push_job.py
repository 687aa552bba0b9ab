"""One push, in tries that each begin with comparing the folder with the repo.

So it doesn't matter where the try before ended: a commit whose answer got lost is found to have happened, and what is
there already isn't sent again.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import httpx, validate_repo_id

import ganhub
from ganhub.differences import Pushed, is_same
from ganhub.errors import UserError
from ganhub.explain import HUB_ERRORS, bounded, explain, innermost, is_passing, limit_of

PATIENCE = 30.0  # seconds in all, for what passes
FIRST_PAUSE = 0.5
ANSWER = 60.0  # seconds that the Hub may take for one answer; the client itself would wait forever
MAX_PULL_REQUESTS = 20  # open ones looked at, newest first, for one that proposes the same files
Keep = Callable[[str], bool]
Allow = Callable[[Collection[str]], None]
CommitOperation = CommitOperationAdd | CommitOperationCopy | CommitOperationDelete  # as the client has it


def check_id(repo: str) -> None:
    """
    Raises:
        UserError, HFValidationError: it is no user/name.
    """
    validate_repo_id(repo)
    if "/" not in repo:
        raise UserError(f"{repo}: not a Hub id such as user/name; say whose it is")


def already_public(repo: str) -> UserError:
    return UserError(f"{repo}: is public already; make it private in its settings first, or leave --private")


@dataclass(frozen=True)
class Head:
    """A state of the repo."""

    commit: str
    private: bool
    files: dict[str, RepoFile]


@dataclass
class Job:
    """One push. Its tries share what the first of them showed and what the last of them was about to commit."""

    api: HfApi
    repo: str
    repo_type: str
    files: dict[str, Path]
    keep: Keep
    private: bool | None
    tag: str | None
    create_pr: bool
    message: str | None
    under: str
    space_sdk: str | None
    show: Callable[[Pushed], None] | None
    allow: Allow | None
    met: bool = False  # has the Hub answered at all?
    created: bool = False
    shown: bool = False
    planned: Pushed | None = None

    def run(self, dry_run: bool) -> Pushed:
        with bounded(self.repo, ANSWER, PATIENCE):
            try:
                check_id(self.repo)
                return self.insist(self.preview if dry_run else self.attempt)
            except UserError:
                raise
            except HUB_ERRORS as error:
                raise explain(error, self.repo, self.api) from error

    def insist(self, act: Callable[[], Pushed]) -> Pushed:
        """Try until it is done, what went wrong won't pass, or the patience is over."""
        deadline, pause = time.monotonic() + PATIENCE, FIRST_PAUSE
        while True:
            try:
                return act()
            except HUB_ERRORS as error:
                away = isinstance(innermost(error), httpx.ConnectError) and not self.met
                wait = max(pause, limit_of(error))
                if away or not is_passing(error) or time.monotonic() + wait > deadline:
                    raise
            time.sleep(wait)
            pause *= 2

    def preview(self) -> Pushed:
        """What `attempt` would do."""
        head = self.look()
        plan = self.compare(head)
        self.check(head, self.tags(head), plan)
        return plan

    def attempt(self) -> Pushed:
        head = self.look()
        self.met = True
        tags, plan = self.tags(head), self.compare(head)
        self.check(head, tags, plan)
        if self.show and plan.differs and not self.shown:
            self.show(plan)
            self.shown = True
        if head is None:
            head = self.create()
            plan = self.compare(head)
        if plan.differs:
            self.planned = plan
            done = self.commit(head, plan)
        else:  # there already, perhaps by a try of ours whose answer got lost
            done = replace(self.planned or plan, commit=head.commit)
        if self.tag and self.tag not in tags:
            self.api.create_tag(self.repo, tag=self.tag, revision=done.commit, repo_type=self.repo_type)
        return replace(done, created=self.created)

    def look(self) -> Head | None:
        """The repo as it is on main, or None when there is none that this token may see."""
        try:
            info = self.api.repo_info(self.repo, repo_type=self.repo_type)
        except HfHubHTTPError as error:  # gated is a kind of not found for the client, and a mirror's 404 is none
            absent = isinstance(error, RepositoryNotFoundError) or error.response.status_code == 404
            if isinstance(error, GatedRepoError) or not absent:
                raise
            return None
        if info.id != self.repo:
            raise UserError(f"{self.repo}: is called {info.id} on the Hub; publish to that name")
        return Head(str(info.sha), bool(info.private), self.tree(str(info.sha)))

    def tree(self, revision: str) -> dict[str, RepoFile]:
        entries = self.api.list_repo_tree(self.repo, recursive=True, revision=revision, repo_type=self.repo_type)
        return {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}

    def tags(self, head: Head | None) -> dict[str, str]:
        """Tag -> commit; asked for only where one is to be set."""
        if head is None or self.tag is None:
            return {}
        refs = self.api.list_repo_refs(self.repo, repo_type=self.repo_type)
        return {tag.name: tag.target_commit for tag in refs.tags}

    def compare(self, head: Head | None) -> Pushed:
        remote = head.files if head else {}
        sizes = {path: file.stat().st_size for path, file in self.files.items()}
        same = {path for path, file in self.files.items() if path in remote and is_same(file, remote[path])}
        inside = f"{self.under}/" if self.under else ""
        absent = [path for path in remote if path.startswith(inside) and path not in self.files]
        return Pushed(
            repo=self.repo,
            address=self.address(),
            commit=None,
            created=False,
            uploaded={path: size for path, size in sizes.items() if path not in same},
            deleted={path: remote[path].size for path in absent if path != ".gitattributes" and not self.keep(path)},
            unchanged={path: size for path, size in sizes.items() if path in same},
        )

    def check(self, head: Head | None, tags: dict[str, str], plan: Pushed) -> None:
        """Refuse what can't be done as asked, before anything is touched."""
        if head and self.private and not head.private:
            raise already_public(self.repo)
        if head and self.tag in tags and (plan.differs or tags[self.tag] != head.commit):
            raise UserError(
                f"{self.repo}: tag {self.tag} is on another commit ({tags[self.tag][:7]}); choose another tag"
            )
        if self.allow:
            self.allow(head.files if head else ())

    def create(self) -> Head:
        sdk = self.space_sdk
        self.api.create_repo(self.repo, repo_type=self.repo_type, private=self.private, exist_ok=True, space_sdk=sdk)
        self.created = True
        head = self.look()
        if head is None:
            raise UserError(f"{self.repo}: the name is taken by a repo that this token may not see; choose another")
        return head

    def commit(self, head: Head, plan: Pushed) -> Pushed:
        if self.create_pr and (number := self.proposed()):
            return replace(plan, commit=self.sha(f"refs/pr/{number}"), address=self.address(number))
        operations: list[CommitOperation] = [
            *(CommitOperationAdd(path, self.files[path]) for path in plan.uploaded),
            *(CommitOperationDelete(path) for path in plan.deleted),
        ]
        made = self.api.create_commit(
            self.repo,
            operations,
            commit_message=self.message or f"Publish with ganhub {ganhub.__version__}",
            repo_type=self.repo_type,
            parent_commit=head.commit,
            create_pr=self.create_pr,
        )
        return replace(plan, commit=made.oid, address=self.address(made.pr_num))

    def proposed(self) -> int | None:
        """The open pull request that proposes just this."""
        found = self.api.get_repo_discussions(self.repo, repo_type=self.repo_type, discussion_type="pull_request")
        for discussion, _ in zip(found, range(MAX_PULL_REQUESTS)):
            if discussion.status in ("open", "draft"):
                revision = f"refs/pr/{discussion.num}"
                plan = self.compare(Head(revision, False, self.tree(revision)))
                if not plan.differs:
                    return discussion.num
        return None

    def sha(self, revision: str) -> str:
        return str(self.api.repo_info(self.repo, revision=revision, repo_type=self.repo_type).sha)

    def address(self, pull_request: int | None = None) -> str:
        kind = "" if self.repo_type == "model" else f"{self.repo_type}s/"
        page = f"{self.api.endpoint}/{kind}{self.repo}"
        return f"{page}/discussions/{pull_request}" if pull_request else page
