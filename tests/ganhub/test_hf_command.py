"""The `hf` command beside ours: its login is enough, it fetches what we publish, and we load what it uploads."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ganhub import GANPipeline

HF = Path(sys.executable).with_name("hf")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(hub, tmp_path):
    """Run a command as somebody whose token is known to `hf auth login` alone."""
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    environment.pop("HF_TOKEN")

    def call(*words):
        done = subprocess.run([*map(str, words)], capture_output=True, text=True, env=environment, cwd=tmp_path)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    call(HF, "auth", "login", "--token", "hf_alice_write")
    return call


def pixels(name):
    return [image.tobytes() for image in GANPipeline.from_pretrained(name)(4).images]


def test_its_login_publishes_and_it_fetches_what_was_published(hub, run, tmp_path):
    assert "published as commit" in run(sys.executable, "-m", "ganhub", "push", "digits", "alice/by-login")
    assert hub.repos["model", "alice/by-login"]["ns"] == "alice"
    run(HF, "download", "alice/by-login", "--local-dir", tmp_path / "fetched")
    assert pixels(tmp_path / "fetched") == pixels("digits")


def test_what_it_uploads_loads(run, model):
    run(HF, "upload", "alice/by-hf", model, ".")
    assert pixels("alice/by-hf") == pixels(model)
    assert "alice/by-hf" not in run(sys.executable, "-m", "ganhub", "list"), "without a card it isn't listed as ours"
