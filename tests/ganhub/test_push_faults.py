"""A push survives what happens to a connection, at each of its requests: one commit in the end, never half of one."""

import time
import types

import pytest

from ganhub import UserError
from ganhub import push_job as module
from ganhub.push import push
from tests.ganhub.pushing import commits, held, shown, write_folder

FAULTS = {
    "500": {"status": 500, "times": 2},
    "503 for long": {"status": 503, "times": 4},
    "429": {"status": 429, "headers": {"Retry-After": "0"}, "times": 2},
    "dropped": {"kind": "drop"},
    "answer lost": {"kind": "lost"},
    "a page": {"kind": "html"},
    "slow": {"kind": "delay", "seconds": 0.4},  # longer than ANSWER below
}
REQUESTS = 12  # of a push with two large files and a tag; the test below counts them


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    """The client's own pauses, of a second and more, and ours: all short."""
    quick = types.SimpleNamespace(**{**vars(time), "sleep": lambda seconds: None})
    monkeypatch.setattr("huggingface_hub.utils._http.time", quick)
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(module, "ANSWER", 0.3)


@pytest.mark.parametrize("request_number", range(REQUESTS))
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_any_request(hub, tmp_path, fault, request_number):
    repo = f"alice/fault-{list(FAULTS).index(fault)}-{request_number}"
    folder = write_folder(tmp_path / "model")
    push(folder, repo)
    old, new = shown(hub, repo), held(write_folder(folder, 2))
    hub.fault(".*", skip=request_number, **FAULTS[fault])
    try:
        done = push(folder, repo, tag="v1")
        assert set(done.uploaded) == {path for path in new if new[path] != old[path]}
    except UserError as error:  # a page in the place of a file's upload is found out only later
        assert fault == "a page" and "\n" not in str(error)
        assert shown(hub, repo) in (old, new)
    hub.faults.clear()
    push(folder, repo, tag="v1")
    assert shown(hub, repo) == shown(hub, repo, "refs/tags/v1") == new
    assert commits(hub, repo) == 3  # the Hub's first, the old one, the new one


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_while_the_repo_is_created(hub, tmp_path, fault):
    repo, folder = f"alice/fresh-{list(FAULTS).index(fault)}", write_folder(tmp_path / "model")
    hub.fault("POST /api/repos/create", **FAULTS[fault])
    push(folder, repo)
    assert shown(hub, repo) == held(folder) and commits(hub, repo) == 2


def test_the_requests_are_as_many_as_are_tried(hub, tmp_path):
    folder = write_folder(tmp_path / "model")
    push(folder, "alice/counted")
    hub.requests.clear()
    push(write_folder(folder, 2), "alice/counted", tag="v1")
    assert len(hub.log("(?<!agent-harnesses)$")) == REQUESTS


def test_a_silent_hub_is_not_waited_for(hub, tmp_path):
    hub.fault("POST .*/commit/", kind="delay", seconds=8)
    start = time.monotonic()
    push(write_folder(tmp_path / "model"), "alice/silent")
    assert time.monotonic() - start < 5


def test_two_pushes_at_once_end_in_one_state(hub, tmp_path):
    folder, other = write_folder(tmp_path / "a"), write_folder(tmp_path / "b", 2)
    (other / "model_index.json").write_text("[]")  # which the other push leaves as it was
    push(folder, "alice/race")
    hub.fault("POST .*/preupload/", kind="drop", call=lambda: push(other, "alice/race"))
    push(write_folder(folder, 3), "alice/race")
    assert shown(hub, "alice/race") == held(folder) and commits(hub, "alice/race") == 4
