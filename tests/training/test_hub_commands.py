"""Backups, foreign weights and data sets, as a user types the commands."""

import pytest
import torch
from huggingface_hub import HfApi

from ganhub import GANPipeline, UserError, list_models
from ganhub.push import push
from ganhub.space import create
from tests.training.test_convert import Tutorial, saved
from tests.training.test_main import TINY, run
from tests.training.test_trainer import contents
from training.__main__ import again
from training.backup import Backup
from training.restore import restore


def test_a_run_moves_by_the_hub_and_its_repo_can_be_published_to(
    hub, monkeypatch, picture_folder, tmp_path, capsys, model
):
    train = ["train", "frogs", "--classes", "--data", picture_folder, *TINY, "--save-kimg", 0.02, "--kimg"]
    repo = "alice/moving"
    run(monkeypatch, *train, 0.04, "--run-dir", tmp_path / "whole")
    run(monkeypatch, *train, 0.02, "--run-dir", tmp_path / "here", "--push-every", 0.02, "--repo", repo, "--private")
    assert "go on from it anywhere with --resume-from hub://alice/moving" in capsys.readouterr().out
    push(model, repo)  # as `publish` does, under the same name
    assert HfApi().model_info(repo).private
    there = ["--run-dir", tmp_path / "there"]
    run(monkeypatch, *train, 0.04, *there, "--resume-from", f"hub://{repo}", "--push-every", 0.02, "--repo", repo)
    whole, moved = contents(tmp_path / "whole"), contents(tmp_path / "there")
    assert [key for key in whole if not torch.equal(whole[key], moved[key])] == []
    files = HfApi().list_repo_files(repo)
    assert "model_index.json" in files and "training/checkpoints/000010/ema.safetensors" in files
    GANPipeline.from_pretrained(repo)
    with pytest.raises(SystemExit):
        run(monkeypatch, *train, 0.04, *there, "--resume-from", f"hub://{repo}")
    assert "already holds a run; go on with --resume" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options, words",
    [
        (["--push-every", 1], "--push-every KIMG and --repo user/name (and --private) go together"),
        (["--repo", "a/b"], "go together"),
        (["--private"], "go together"),
        (["--resume", "--resume-from", "hub://a/b"], "give one of them"),
        (["--resume-from", "a/b"], "not an address such as hub://user/name"),
        (["--push-every", -1, "--repo", "alice/b"], "--push-every -1 is less than --save-kimg"),
    ],
)
def test_options_that_do_not_fit_are_one_line(hub, options, words, monkeypatch, picture_folder, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        run(monkeypatch, "train", "frogs", "--data", picture_folder, "--run-dir", tmp_path / "run", *TINY, *options)
    error = capsys.readouterr().err
    assert stop.value.code == 1 and words in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("words", [["--resume-from", "hub://a/b"], ["--resume-from=hub://a/b"], ["--resume"], []])
def test_a_stopped_run_goes_on_in_its_folder(words):
    assert again("frogs", [*words, "--kimg", "3"]) in (
        "python -m training train frogs --kimg 3 --resume",
        "python -m training train frogs --resume --kimg 3",
    )


def test_convert_and_push_data_by_the_command_line(hub, monkeypatch, picture_folder, tmp_path, capsys):
    run(
        monkeypatch, "convert", saved(Tutorial().state_dict(), tmp_path), "--arch", "dcgan", "--out", tmp_path / "model"
    )
    assert "written" in capsys.readouterr().out
    assert len(GANPipeline.from_pretrained(tmp_path / "model")(2).images) == 2
    data = ["push-data", picture_folder, "--repo", "alice/by-hand", "--license", "cc0-1.0", "--terms", "none"]
    run(monkeypatch, *data, "--dry-run")
    assert "nothing was uploaded yet" in capsys.readouterr().out
    run(monkeypatch, *data)
    assert "/datasets/alice/by-hand: this data set" in capsys.readouterr().out


@pytest.mark.parametrize(
    "ask",
    [
        lambda here: list_models(),
        lambda here: list_models(token="hf_\nsecret"),
        lambda here: restore("hub://alice/any", here / "run"),
        lambda here: Backup("alice/any", 1).check(1),
        lambda here: create("alice/any", ["alice/any"]),
    ],
)
def test_a_token_that_cant_be_sent_is_one_line_without_it(hub, ask, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf_\u00e9secret")
    with pytest.raises(UserError, match="the Hub token has characters that none has") as refused:
        ask(tmp_path)
    assert "secret" not in str(refused.value) and "\n" not in str(refused.value) and not hub.requests
