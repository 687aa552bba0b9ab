"""A Space of one's own: published, fetched as the Hub's builder would, started, and asked for a picture."""

import os
import re
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import yaml
from gradio_client import Client
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from PIL import Image

from ganhub import GANPipeline, UserError, space
from ganhub.cli import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def model_repo(hub, model):
    name = "alice/space-model"
    api = HfApi()
    api.create_repo(name, exist_ok=True)
    api.upload_folder(repo_id=name, folder_path=model)
    return name


def front_matter(folder):
    return yaml.safe_load(re.match(r"---\n(.*?)\n---\n", (folder / "README.md").read_text(), re.DOTALL)[1])


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def client_of(url, process, patience=90):
    deadline = time.monotonic() + patience
    while True:
        try:
            return Client(url, verbose=False)
        except Exception:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.3)


def test_the_space_draws_what_the_model_draws_and_fetches_no_weights_again(hub, model_repo, tmp_path):
    done = space.create("alice/my-space", [model_repo, "digits"], title='Mine: "a" #1')
    assert hub.repos["space", "alice/my-space"]["sdk"] == "gradio"
    assert space.create("alice/my-space", [model_repo, "digits"], title='Mine: "a" #1').commit == done.commit

    home = tmp_path / "home"
    folder = Path(snapshot_download("alice/my-space", repo_type="space", local_dir=tmp_path / "space"))
    facts = front_matter(folder)
    assert (facts["title"], facts["sdk"], facts["app_file"]) == ('Mine: "a" #1', "gradio", "app.py")
    assert facts["models"] == [model_repo] and facts["license"] == "mit"
    (preload,) = facts["preload_from_hub"]
    repo, files = preload.split(" ")
    for file in files.split(","):
        hf_hub_download(repo, file, cache_dir=home / "hub")
    assert not any("discriminator" in file for file in files.split(","))
    hf_hub_download(model_repo, "discriminator/config.json")  # what lies in the cache makes no difference
    assert not space.create("alice/my-space", [model_repo, "digits"], title='Mine: "a" #1').differs
    assert [path.name for path in (folder / "ganhub" / "zoo").iterdir()] == ["digits"]
    assert "MIT" in (folder / "ganhub" / "LICENSE").read_text()

    hub.requests.clear()
    port = free_port()
    environment = {**os.environ, "HF_HOME": str(home), "GRADIO_SERVER_PORT": str(port), "PYTHONPATH": str(folder)}
    environment.pop("HF_TOKEN")
    process = subprocess.Popen(
        [sys.executable, "app.py"], cwd=folder, env=environment, text=True, stdout=subprocess.DEVNULL, stderr=-1
    )
    try:
        files, details = client_of(f"http://127.0.0.1:{port}", process).predict(
            model=model_repo, label="two", seed=3, num_images=1, api_name="/generate"
        )
        picture = Image.open(files[0] if isinstance(files[0], str) else files[0]["path"])
        wanted = GANPipeline.from_pretrained(model_repo)(1, labels=2, seed=3).images[0]
        assert (picture.tobytes(), details["class_names"]) == (wanted.tobytes(), ["two"])
    finally:
        process.kill()
        process.wait()
    mine = [request for request in hub.requests if not request["auth"]]
    assert mine and not [request for request in mine if "/cdn/" in request["path"]]


def test_requirements_are_those_of_the_package_pinned_to_what_is_here():
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = [re.match(r"[\w-]+", item)[0] for item in asked]
    assert sorted(space.DEPENDENCIES) == sorted(names)
    assert all(re.fullmatch(r"[\w-]+==[\d.]+\w*", line) for line in space.requirements().splitlines())


def test_a_private_model_isnt_fetched_by_the_builder_and_the_space_says_what_it_needs(hub, model_repo, tmp_path):
    HfApi().update_repo_settings(model_repo, private=True)
    try:
        shown = space.check(model_repo, None)
    finally:
        HfApi().update_repo_settings(model_repo, private=False)
    space.write(tmp_path, [shown], "x")
    facts = front_matter(tmp_path)
    assert facts["models"] == [model_repo] and "preload_from_hub" not in facts
    assert "secret `HF_TOKEN`" in (tmp_path / "README.md").read_text()
    assert not (tmp_path / "ganhub" / "zoo").exists()


@pytest.mark.parametrize("fault", [{"status": 503}, {"kind": "delay", "seconds": 4}])
def test_whether_anybody_may_read_a_model_is_asked_again(hub, model_repo, fault, monkeypatch):
    monkeypatch.setattr("ganhub.patience.ANSWER", 0.3)
    hub.fault(f"/api/models/{model_repo}", **fault)
    start = time.monotonic()
    assert space.is_open(model_repo)
    assert time.monotonic() - start < 3 and not any(fault["times"] for fault in hub.faults)


def test_a_private_space_is_private(hub, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["ganhub", "space", "alice/private-space", "--models", "digits", "--private"])
    main()
    assert HfApi().repo_info("alice/private-space", repo_type="space").private


@pytest.mark.parametrize(
    ("models", "words"),
    [
        ("alice/nobody-made-this", "alice/nobody-made-this: "),
        ("./here", "push it first"),
        ("digits,digits", "each once"),
        (" , ", "name 1 to 24 models"),
    ],
)
def test_nothing_is_created_for_models_that_cant_be_shown(hub, models, words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ganhub", "space", "alice/never", "--models", models])
    with pytest.raises(SystemExit) as stop:
        main()
    message = capsys.readouterr().err
    assert stop.value.code == 1 and words in message and message.count("\n") == 1
    assert ("space", "alice/never") not in hub.repos


def test_a_title_is_one_line():
    with pytest.raises(UserError, match="--title: one line"):
        space.create("alice/never", ["digits"], title="a\nsdk: docker")


def test_a_dry_run_shows_the_files_and_creates_nothing(hub, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ganhub", "space", "alice/never", "--models", "digits", "--dry-run"])
    main()
    shown = capsys.readouterr().out
    assert "app.py" in shown and "ganhub/zoo/digits/generator/config.json" in shown
    assert ("space", "alice/never") not in hub.repos


def test_a_space_says_the_licences_of_the_weights_in_it():
    text = space.readme([space.Shown(name, zoo=True) for name in ("digits", "faces")], "mine")
    assert "\nlicense: other\n" in text
    assert (
        "`digits`, from ganhub's zoo (mit)" in text and "`faces`, from ganhub's zoo (non-commercial-research)" in text
    )


def test_this_repository_s_own_space_runs_on_what_is_pinned():
    root = Path(__file__).parents[2]
    facts = front_matter(root)
    assert f"gradio=={facts['sdk_version']}" in (root / "requirements.txt").read_text().split()
