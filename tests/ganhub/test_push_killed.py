"""kill -9 during an upload: the Hub shows the old state or the new one, the second run finishes, the third is idle.

The upload runs in a fork of this process, where everything is imported; the Hub's stand-in stays here.
"""

import os
import signal

import pytest

from ganhub import push_job as module
from ganhub.push import push
from tests.ganhub.pushing import commits, held, shown, write_folder

REQUESTS = 13  # one more than a push makes: there the fork comes to its end


def upload_in_a_fork(folder, repo: str) -> int:
    child = os.fork()
    if child:
        return child
    try:
        push(folder, repo, tag="v1")
        os._exit(0)
    finally:
        os._exit(1)


def died(child: int) -> bool:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.fixture
def case(hub, tmp_path, monkeypatch):
    """A repo with one version, a folder with the next, and the check of what a killed upload leaves."""
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    repo, folder = f"alice/killed-{len(hub.repos)}", write_folder(tmp_path / "model")
    push(folder, repo)
    old, new = shown(hub, repo), held(write_folder(folder, 2))

    def check() -> None:
        assert shown(hub, repo) in (old, new)
        push(folder, repo, tag="v1")
        assert shown(hub, repo) == shown(hub, repo, "refs/tags/v1") == new
        assert not push(folder, repo, tag="v1").differs and commits(hub, repo) == 3

    return repo, folder, check


@pytest.mark.parametrize("kind", ["drop", "lost"])
@pytest.mark.parametrize("request_number", range(REQUESTS))
def test_killed_before_and_after_each_request_took_effect(hub, case, kind, request_number):
    repo, folder, check = case
    children = []
    hub.fault(".*", kind=kind, skip=request_number, call=lambda: os.kill(children[0], signal.SIGKILL))
    with hub.lock:  # no request is answered before the child is known
        children.append(upload_in_a_fork(folder, repo))
    assert died(children[0]) == (request_number < REQUESTS - 1)
    hub.faults.clear()
    check()


def test_killed_while_the_repo_is_created(hub, tmp_path):
    folder, children = write_folder(tmp_path / "model"), []
    for kind in ("drop", "lost"):
        repo = f"alice/killed-new-{kind}"
        hub.fault("POST /api/repos/create", kind=kind, call=lambda: os.kill(children[-1], signal.SIGKILL))
        with hub.lock:
            children.append(upload_in_a_fork(folder, repo))
        assert died(children[-1]) and shown(hub, repo) == (None if kind == "drop" else {})
        push(folder, repo, tag="v1")
        assert shown(hub, repo) == held(folder) and commits(hub, repo) == 2
