"""Hub ids, with the real client against a local stand-in for the Hub."""

import os
import pickle
import subprocess
import sys

import pytest
from huggingface_hub import HfApi

from ganhub import AutoGenerator, GANPipeline, UserError
from ganhub.hub import resolve, snapshots


@pytest.fixture
def model(model):
    """With a pickle and a script that nobody asked for."""
    (model / "pipeline.py").write_text("raise SystemExit('this must never run')\n")
    (model / "generator" / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    return model


def test_a_hub_id_gives_the_same_pixels(repo, model):
    local, remote = (GANPipeline.from_pretrained(name)(4).images for name in (model, repo))
    assert [a.tobytes() for a in local] == [b.tobytes() for b in remote]


def test_only_what_is_needed_is_downloaded(hub, repo):
    GANPipeline.from_pretrained(repo)
    fetched = {request["path"].rsplit("/", 1)[-1] for request in hub.requests if "/resolve/" in request["path"]}
    assert "config.json" in fetched and not {"pipeline.py", "pytorch_model.bin"} & fetched
    assert not any("/discriminator/diffusion" in request["path"] for request in hub.requests)


def test_a_revision_is_that_revision(repo, model, monkeypatch):
    monkeypatch.setenv("GANHUB_PATIENCE", "30")
    api = HfApi()
    first = api.repo_info(repo).sha
    before = GANPipeline.from_pretrained(repo)(2).images[0].tobytes()
    api.upload_file(repo_id=repo, path_in_repo="generator/config.json", path_or_fileobj=b"{}")
    with pytest.raises(UserError):
        GANPipeline.from_pretrained(repo)
    assert GANPipeline.from_pretrained(repo, revision=first)(2).images[0].tobytes() == before


@pytest.mark.parametrize("load", [GANPipeline.from_pretrained, AutoGenerator.from_pretrained, resolve, snapshots])
def test_what_has_no_revisions_says_so(load, model):
    here = "is a folder here"
    for name, what in ((model, here), (model / "generator", here), ("digits", "comes with ganhub")):
        with pytest.raises(UserError, match=f"^{name}: {what} and has no revisions; leave out revision$"):
            load(name, revision="v1")


def test_where_a_model_came_from_tells_nobody_the_token(repo):
    origin = GANPipeline.from_pretrained(repo, token="hf_alice_read").origin
    assert origin[1].token == "hf_alice_read"
    assert "hf_alice" not in repr(origin) and b"hf_alice" not in pickle.dumps(origin)
    assert pickle.loads(pickle.dumps(origin))[1].token is None


def test_the_cache_serves_while_the_hub_is_away(hub, repo):
    before = GANPipeline.from_pretrained(repo)(2).images[0].tobytes()
    hub.fault(".*", kind="status", status=503, times=1000)
    assert GANPipeline.from_pretrained(repo)(2).images[0].tobytes() == before


def test_unknown_repos_and_revisions_are_one_line(repo):
    with pytest.raises(UserError, match="alice/nothing-here: no such model on the Hub"):
        GANPipeline.from_pretrained("alice/nothing-here")
    with pytest.raises(UserError, match="has no revision 'v9'"):
        GANPipeline.from_pretrained(repo, revision="v9")


def test_no_network_and_no_cache_is_one_line():
    code = "from ganhub import hub\nhub.resolve('alice/never-seen')"
    env = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert "UserError: alice/never-seen: no folder here, nothing to go by" in done.stderr


def test_a_pull_without_the_network_says_what_it_needs():
    command = [sys.executable, "-m", "ganhub", "pull", "alice/never-seen"]
    for setting, words in (
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "the Hub can't be reached, and only it has the newest version"),
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set, and only the Hub has the newest version; unset it"),
    ):
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **setting})
        assert done.returncode == 1 and words in done.stderr
