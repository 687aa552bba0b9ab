"""A folder to the Hub in one commit: what goes, what stays, each refusal in one line. The client is the real one."""

import pytest
from huggingface_hub import HfApi

from ganhub import UserError
from ganhub import push_job as module
from ganhub.push import push
from tests.ganhub.pushing import commits, held, shown, write_folder


@pytest.fixture
def repo(request) -> str:
    return f"alice/{request.node.name.split('[')[0].replace('_', '-')[:80]}"


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "model")


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)


def test_everything_goes_in_one_commit_and_the_same_again_makes_none(hub, folder, repo):
    (folder / ".env").write_text("SECRET=1")
    plans = []
    done = push(folder, repo, show=plans.append)
    (folder / ".env").unlink()
    assert shown(hub, repo) == held(folder) and commits(hub, repo) == 2  # one is the Hub's own first
    assert done.created and done.uploaded == plans[0].uploaded and set(done.uploaded) == set(held(folder))
    assert done.commit == HfApi().repo_info(repo).sha and done.address.endswith(repo)
    assert "500 B  upload  samples.png" in done.table() and "7 files to upload, 7.5 kB" in done.table()
    hub.requests.clear()
    again = push(folder, repo, show=plans.append)
    assert again.commit == done.commit and not again.differs and commits(hub, repo) == 2 and len(plans) == 1
    assert len(again.unchanged) == 7 and not hub.log("POST")


def test_only_what_differs_is_sent_and_only_what_is_ours_is_deleted(hub, folder, repo, tmp_path):
    ours = ("curves.png", "snapshots/000000010/generator/config.json", "generator/diffusion_pytorch_model.fp16.bin")
    ours += ("directions.safetensors", "snapshots/000000010.png")
    others = ("notes.md", "pictures/samples.png", "handler.py", "generator/net.py", "training/state.json")
    others += ("snapshots/best.png", "snapshots/2024-notes/run.md")
    for name in (*ours, *others):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    push(folder, repo)
    done = push(write_folder(tmp_path / "next", 2), repo)
    assert set(done.unchanged) == {"model_index.json", "generator/config.json"} and len(done.uploaded) == 5
    assert set(done.deleted) == set(ours) and commits(hub, repo) == 3
    assert set(others) < set(shown(hub, repo))


def test_a_caller_has_its_own_rule_and_its_own_folder(hub, folder, repo, tmp_path):
    push(folder, repo)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "a.json").write_text("1")
    push(tmp_path / "state", repo, under="training", keep=lambda path: False)
    (tmp_path / "state" / "a.json").rename(tmp_path / "state" / "b.json")
    done = push(tmp_path / "state", repo, under="training", keep=lambda path: False)
    assert set(done.deleted) == {"training/a.json"} and set(shown(hub, repo)) == {*held(folder), "training/b.json"}


@pytest.mark.parametrize("kind", ["dataset", "space"])
def test_data_sets_and_spaces_lose_nothing(hub, folder, repo, kind):
    sdk = "gradio" if kind == "space" else None
    push(folder, repo, repo_type=kind, space_sdk=sdk)
    (folder / "samples.png").unlink()
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# other\n")
    done = push(folder, repo, repo_type=kind)
    assert list(done.uploaded) == ["README.md"] and not done.deleted
    assert done.address.endswith(f"/{kind}s/{repo}")


def test_what_will_be_done_is_shown_once_however_many_tries_it_takes(hub, folder, repo):
    plans = []
    hub.fault("POST /api/repos/create", status=503, times=1)
    hub.fault("POST .*/preupload/", status=503, times=1)
    push(folder, repo, show=plans.append)
    assert shown(hub, repo) == held(folder) and len(plans) == 1 and not any(fault["times"] for fault in hub.faults)


def test_a_tag_is_set_once_and_completed_when_it_is_missing(hub, folder, repo):
    hub.fault("POST .*/tag/", status=400)
    with pytest.raises(UserError, match="refuses it"):
        push(folder, repo, tag="v1")
    assert push(folder, repo, tag="v1").commit == push(folder, repo, tag="v1").commit
    assert commits(hub, repo) == 2 and shown(hub, repo, "refs/tags/v1") == held(folder)
    write_folder(folder, 2)
    before = shown(hub, repo)
    hub.requests.clear()
    with pytest.raises(UserError, match="tag v1 is on another commit .*choose another tag"):
        push(folder, repo, tag="v1")
    assert shown(hub, repo) == before and not hub.log("POST|PUT")


def test_a_pull_request_is_opened_once_and_loads_by_its_revision(hub, folder, repo):
    push(folder, repo)
    before = held(write_folder(folder, 1))
    after = held(write_folder(folder, 2))
    hub.fault("POST .*/commit/", kind="lost")
    first = push(folder, repo, create_pr=True)
    again = push(folder, repo, create_pr=True, token="hf_bob_write")
    assert first.address == again.address and first.address.endswith("/discussions/1")
    assert first.commit == again.commit
    assert shown(hub, repo) == before and shown(hub, repo, "refs/pr/1") == after
    write_folder(folder, 3)
    assert push(folder, repo, create_pr=True, token="hf_bob_write").address.endswith("/discussions/2")


def test_a_private_repo_is_private_and_a_public_one_is_not_taken_for_one(hub, folder, repo):
    push(folder, repo, private=True)
    assert HfApi().repo_info(repo).private
    push(folder, f"{repo}-open")
    with pytest.raises(UserError, match="is public already"):
        push(write_folder(folder, 2), f"{repo}-open", private=True)
    assert shown(hub, f"{repo}-open") != held(folder)


def test_a_dry_run_needs_no_token_and_touches_nothing(hub, folder, repo, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    done = push(folder, repo, dry_run=True)
    assert len(done.uploaded) == 7 and done.commit is None and "dry run" in done.outcome()
    assert shown(hub, repo) is None and not hub.log("POST")
    with pytest.raises(UserError, match="no Hub token: set HF_TOKEN, run `hf auth login`, or give --token"):
        push(folder, repo)


REFUSED = {
    "hf_bogus": "doesn't accept this token",
    "hf_alice_read": "this token of alice may only read",
    "hf_bob_write": "bob may not write there; publish as bob/",
    "hf a": "--token: not a token",
    "": "--token: not a token",
}


@pytest.mark.parametrize("token", REFUSED)
@pytest.mark.parametrize("exists", [False, True])
def test_a_token_that_will_not_do_is_one_line(hub, folder, token, exists, request):
    repo = f"alice/token-{list(REFUSED).index(token)}-{exists}"
    if exists:
        push(folder, repo)
        write_folder(folder, 2)
    before = shown(hub, repo)
    with pytest.raises(UserError, match=REFUSED[token]) as error:
        push(folder, repo, token=token)
    assert "\n" not in str(error.value) and shown(hub, repo) == before


@pytest.mark.parametrize("token", ["hf_\u00e9", "hf_x y"])
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_token_of_the_environment_that_can_be_none_is_not_sent(hub, folder, token, dry_run, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(UserError, match="alice/odd: the Hub token has characters that none has; set HF_TOKEN") as error:
        push(folder, "alice/odd", dry_run=dry_run)
    assert token not in str(error.value) and not hub.requests


ANSWERS = {
    (400, "Bad file name"): "the Hub refuses it .*Bad file name",
    (402, "Payment required"): "the quota is full",
    (403, "Private repository storage limit reached"): "the quota is full .*storage limit",
    (403, "You shall not"): "this token may not do that .You shall not.",
    (409, "You already created it"): "the name is taken",
    (412, "A commit has happened since"): "somebody else is publishing",
    (413, "Too large"): "the quota is full",
    (429, "Slow down"): "rate limit is reached; come back in some minutes",
    (503, "Maintenance"): "in trouble .status 503.",
    (507, "Insufficient storage"): "the quota is full",
}


@pytest.mark.parametrize(("status", "said"), ANSWERS)
def test_what_the_hub_says_is_one_line(hub, folder, repo, status, said, monkeypatch):
    push(folder, repo)
    before = shown(hub, repo)
    monkeypatch.setattr(module, "PATIENCE", 0.3)
    hub.fault("POST .*/commit/", status=status, body=said, times=99)
    with pytest.raises(UserError, match=f"{repo}: .*{ANSWERS[status, said]}") as error:
        push(write_folder(folder, 2), repo)
    assert "\n" not in str(error.value) and shown(hub, repo) == before


def test_a_long_rate_limit_is_told_and_not_waited_for(hub, folder, repo):
    hub.fault("POST .*/preupload/", status=429, headers={"Retry-After": "3000"})
    with pytest.raises(UserError, match="come back in 50 minutes"):
        push(folder, repo)
    push(folder, repo)


def test_names_that_are_not_to_be_had(hub, folder, repo):
    push(folder, repo)
    HfApi().move_repo(repo, f"{repo}-new")
    write_folder(folder, 2)
    for name, line in {
        repo: f"is called {repo}-new on the Hub",
        "alone": "not a Hub id such as user/name",
        "alice/a b": "not a Hub id",
        "bob/his": "alice may not write there",
    }.items():
        with pytest.raises(UserError, match=line):
            push(folder, name)
    push(folder, f"{repo}-taken", private=True)
    hub.fault(f"GET /api/models/{repo}-taken", status=404, headers={"X-Error-Code": "RepoNotFound"}, times=9)
    with pytest.raises(UserError, match="the name is taken by a repo that this token may not see"):
        push(folder, f"{repo}-taken")


def test_a_mirror_that_says_404_and_no_more_gets_the_repo(hub, folder, repo):
    hub.fault(f"GET /api/models/{repo}", status=404)
    assert push(folder, repo).created and shown(hub, repo) == held(folder)


def test_a_gated_repo_says_where_to_ask(hub, folder, repo):
    push(folder, repo)
    write_folder(folder, 2)
    for request in ("POST .*/preupload/", "GET /api/models/[^/]*/[^/]*$", "GET .*/tree/"):
        hub.fault(request, status=403, headers={"X-Error-Code": "GatedRepo"})
        with pytest.raises(UserError, match=f"is gated; ask for access at .*/{repo}"):
            push(folder, repo)
        assert not hub.faults[-1]["times"] and commits(hub, repo) == 2


def test_no_network_and_somebody_elses_page_are_one_line(hub, folder, repo, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.3)
    hub.fault("GET /api/models", kind="html", times=99)
    with pytest.raises(UserError, match="what answered isn't the Hub"):
        push(folder, repo)
    monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="the Hub can't be reached .*check the network"):
        push(folder, repo)


def test_nothing_to_push_and_tags_that_cannot_be(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    for options, line in {
        (tmp_path / "empty", None, False): "no files here",
        (folder, "no tag", False): "not a name such as v1.0",
        (folder, "v1..0", False): "not a name such as v1.0",  # what git refuses
        (folder, "v1.", False): "not a name such as v1.0",
        (folder, "v1.lock", False): "not a name such as v1.0",
        (folder, "v1", True): "a pull request can't be tagged",
    }.items():
        with pytest.raises(UserError, match=line):
            push(options[0], "alice/x", tag=options[1], create_pr=options[2])
