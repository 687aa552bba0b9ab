"""Checkpoints on the Hub: uploaded while a run goes on, never in its way, and gone on from elsewhere bit for bit."""

import dataclasses
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from huggingface_hub import HfApi
from huggingface_hub.hf_api import RepoFile

from ganhub import UserError
from tests.hub_server import HubServer
from tests.training.conftest import ROOT
from tests.training.test_trainer import assert_same_run, contents, newest, start, wait_for
from training import backup as module
from training import checkpoint
from training.backup import Backup
from training.restore import NEEDED, choose, restore
from training.trainer import train


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """The Hub of these tests is here: what doesn't pass at once doesn't."""
    monkeypatch.setattr("ganhub.push_job.PATIENCE", 0.6)
    monkeypatch.setattr("training.restore.PAUSES", (0.0,))


@pytest.fixture
def repo(hub, request):
    return f"alice/{request.node.name.replace('_', '-').partition('[')[0][:60]}"


def on_hub(repo, revision=None):
    return {path for path in HfApi().list_repo_files(repo, revision=revision) if path.startswith("training/")}


def titles(repo):
    return [commit.title for commit in HfApi().list_repo_commits(repo)]


def test_a_run_goes_on_from_the_hub_bit_for_bit_on_another_machine(repo, recipe, tmp_path):
    train(recipe, tmp_path / "whole")
    train(dataclasses.replace(recipe, kimg=0.02), tmp_path / "here", backup=Backup(repo, 0.02))
    restore(f"hub://{repo}", tmp_path / "there")
    train(recipe, tmp_path / "there", resume=True)
    for sheet in (tmp_path / "here" / "samples").iterdir():  # the sheets before stay where they were drawn
        (tmp_path / "there" / "samples" / sheet.name).write_bytes(sheet.read_bytes())
    assert_same_run(tmp_path / "whole", tmp_path / "there")
    assert (tmp_path / "there" / "checkpoints" / "latest").resolve().name == "000010"


def test_uploading_changes_nothing_that_is_trained(repo, recipe, tmp_path):
    train(recipe, tmp_path / "plain")
    train(recipe, tmp_path / "pushed", backup=Backup(repo, 0.02))
    assert_same_run(tmp_path / "plain", tmp_path / "pushed")
    assert not (tmp_path / "pushed" / ".upload").exists()


def test_the_hub_shows_one_whole_checkpoint_in_one_commit_each(repo, recipe, tmp_path, picture_folder):
    HfApi().create_repo(repo)
    HfApi().upload_file(repo_id=repo, path_in_repo="README.md", path_or_fileobj=b"mine")
    train(dataclasses.replace(recipe, kimg=0.02), tmp_path / "run", backup=Backup(repo, 0.02))
    assert {path.split("/")[2] for path in on_hub(repo) if "checkpoints" in path} == {"000005"}
    first = HfApi().model_info(repo).sha
    train(recipe, tmp_path / "run", resume=True, backup=Backup(repo, 0.02))
    assert {path.split("/")[2] for path in on_hub(repo) if "checkpoints" in path} == {"000010"}
    assert titles(repo)[:2] == ["Checkpoint 000010", "Checkpoint 000005"]
    assert "README.md" in HfApi().list_repo_files(repo)
    recipe_file = Path(HfApi().hf_hub_download(repo, "training/recipe.json"))
    assert str(picture_folder.parent) not in recipe_file.read_text()
    restore(f"hub://{repo}@{first}", tmp_path / "older")
    assert newest(tmp_path / "older") == 5


@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"status": 403, "body": "Storage quota exceeded"}, {"kind": "html"}]
)
def test_a_hub_that_fails_is_a_warning_and_the_next_checkpoint_tries_again(hub, repo, recipe, tmp_path, caplog, fault):
    backup = Backup(repo, 0.02)
    hub.fault(f"POST /api/models/{repo}/commit", times=1 if fault.get("status") == 403 else 1000, **fault)
    train(dataclasses.replace(recipe, kimg=0.02, save_kimg=0.02), tmp_path / "run", backup=backup)
    if fault.get("status") == 403:  # which doesn't pass: the end tried again
        assert "has checkpoint 000005" in backup.report and "quota" in caplog.text
        return
    assert "the upload of checkpoint 000005 failed; the Hub got none" in backup.report
    assert newest(tmp_path / "run") == 5 and caplog.text.count("training goes on") >= 1
    hub.faults.clear()
    again = Backup(repo, 0.02)
    train(dataclasses.replace(recipe, kimg=0.02), tmp_path / "run", resume=True, backup=again)
    assert "has checkpoint 000005" in again.report


def test_the_end_of_a_run_tries_again_what_was_under_way(hub, repo, recipe, tmp_path, monkeypatch, caplog):
    """The upload that fails has begun before the run ends, and fails while the end waits for it."""
    ended, push = threading.Event(), module.push

    def fail_at_the_end(*arguments, **options):
        if not ended.is_set():
            assert ended.wait(60)
            raise UserError("cut off")
        return push(*arguments, **options)

    monkeypatch.setattr(module, "push", fail_at_the_end)
    backup = Backup(repo, 0.02)
    finish = backup._finish
    monkeypatch.setattr(backup, "_finish", lambda patience: (ended.set(), finish(patience)))
    train(dataclasses.replace(recipe, kimg=0.02, save_kimg=0.02), tmp_path / "run", backup=backup)
    assert "cut off; training goes on" in caplog.text and "has checkpoint 000005" in backup.report


def test_a_hub_that_is_away_at_the_start_is_a_warning(recipe, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(module, "push", lambda *_, **__: (_ for _ in ()).throw(UserError("away")))
    monkeypatch.setattr(module.HfApi, "create_repo", gone)
    backup = Backup("alice/away", 0.02)
    train(dataclasses.replace(recipe, kimg=0.02), tmp_path, backup=backup)
    assert "training starts" in caplog.text and "failed" in backup.report


def gone(*_, **__):
    raise ConnectionError("refused")


@pytest.mark.parametrize(
    "name, token, kimg, words",
    [
        ("alice/a", "", 0.02, "no Hub token"),
        ("alice/a", "hf_wrong", 0.02, "doesn't accept this token"),
        ("alice/a", "hf_alice_read", 0.02, "may only read"),
        ("bob/b", None, 0.02, "alice may not write there"),
        ("alice", None, 0.02, "not a Hub id"),
        ("alice/b@d", None, 0.02, "not a Hub id"),
        ("alice/a", None, 0.01, "less than --save-kimg 0.02"),
    ],
)
def test_what_can_never_work_is_refused_before_the_run(hub, name, token, kimg, words, recipe, tmp_path, monkeypatch):
    if token == "":
        monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(UserError, match=words) as refused:
        train(recipe, tmp_path / "run", backup=Backup(name, kimg, token=token or None))
    assert not (tmp_path / "run").exists() and "\n" not in str(refused.value)


def test_a_public_repo_does_not_take_a_private_run(repo, recipe, tmp_path):
    HfApi().create_repo(repo)
    with pytest.raises(UserError, match="is public already"):
        train(recipe, tmp_path / "run", backup=Backup(repo, 0.02, private=True))
    assert not (tmp_path / "run").exists()


def test_no_repo_is_made_for_a_run_that_has_no_data(repo, recipe, tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        train(dataclasses.replace(recipe, data=str(tmp_path / "typo")), tmp_path / "run", backup=Backup(repo, 0.02))
    assert not HfApi().repo_exists(repo)


def test_a_slow_upload_waits_for_nobody_and_what_waits_is_the_newest(repo, recipe, tmp_path, monkeypatch):
    """Uploads one at a time; checkpoints that were overtaken are never uploaded, and rotation takes none away."""
    pushed, running, open_gate = [], [], threading.Event()

    def slow(folder, *_, **__):
        running.append(1)
        assert len(running) == 1
        assert open_gate.wait(60)
        (found,) = (folder / "checkpoints").iterdir()
        pushed.append((found.name, len(list(found.iterdir()))))
        running.pop()

    monkeypatch.setattr(module, "push", slow)
    backup = Backup(repo, 0.004)
    finish = backup._finish
    monkeypatch.setattr(backup, "_finish", lambda patience: (open_gate.set(), finish(patience)))
    train(dataclasses.replace(recipe, save_kimg=0.004, keep_checkpoints=1), tmp_path, backup=backup)
    assert pushed == [("000001", 7), ("000010", 7)]


def test_a_stopped_run_uploads_what_it_saved(repo, recipe, tmp_path):
    recipe = dataclasses.replace(recipe, kimg=1000.0, save_kimg=1000.0, sample_kimg=1000.0, log_kimg=0.008)
    process = start(recipe, tmp_path / "run", "--push-every", "1000", "--repo", repo)
    wait_for(lambda: (tmp_path / "run" / "log.jsonl").exists(), process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM and "Traceback" not in errors
    saved = checkpoint.find(tmp_path / "run").name
    assert f"has checkpoint {saved}" in errors and titles(repo)[0] == f"Checkpoint {saved}"


def test_killed_while_uploading_the_hub_stays_whole(recipe, tmp_path):
    """kill -9 in the middle of an upload: the Hub shows the state before, and the run goes on and uploads."""
    with HubServer() as hub:
        env = {**os.environ, "HF_ENDPOINT": hub.endpoint}
        tiny = dataclasses.replace(recipe, kimg=0.04)
        tiny.save(tmp_path / "recipe.json")
        code = (
            "import sys; from pathlib import Path; from training.recipe import Recipe\n"
            "from training.trainer import train; from training.backup import Backup\n"
            f"train(Recipe.load(Path({str(tmp_path / 'recipe.json')!r})), {str(tmp_path / 'run')!r}, "
            "resume='resume' in sys.argv, backup=Backup('alice/killed', 0.02))\n"
        )
        hub.fault("POST .*/commit/", kind="delay", seconds=30)
        process = subprocess.Popen([sys.executable, "-c", code], env=env)
        wait_for(lambda: hub.log("PUT"), process)
        process.kill()
        process.wait()
        hub.faults.clear()
        tree = lambda: hub.repos["model", "alice/killed"]  # noqa: E731
        assert len(tree()["commits"]) == 1
        assert subprocess.run([sys.executable, "-c", code, "resume"], env=env).returncode == 0
        assert list(tree()["commits"].values())[-1]["title"] == "Checkpoint 000010"
        assert not (tmp_path / "run" / ".upload").exists()


def test_restoring_refuses_what_it_would_run_over_and_what_is_no_run(repo, recipe, tmp_path):
    with pytest.raises(UserError, match="not an address such as hub://user/name"):
        restore("user/name", tmp_path / "new")
    with pytest.raises(UserError, match="alice/nothing: no such repo on the Hub"):
        restore("hub://alice/nothing", tmp_path / "new")
    HfApi().create_repo(repo)
    with pytest.raises(UserError, match="holds no run to go on from"):
        restore(f"hub://{repo}", tmp_path / "new")
    with pytest.raises(UserError, match="has no revision 'v9'"):
        restore(f"hub://{repo}@v9", tmp_path / "new")
    (tmp_path / "taken").mkdir()
    recipe.save(tmp_path / "taken" / "recipe.json")
    with pytest.raises(UserError, match="already holds a run; go on with --resume"):
        restore(f"hub://{repo}", tmp_path / "taken")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["taken"]


@pytest.fixture(scope="module")
def whole(picture_folder, tmp_path_factory):
    """A run on the Hub that a test may damage in a commit of its own."""
    from tests.training.conftest import shrink
    from training.presets import PRESETS

    run = tmp_path_factory.mktemp("whole") / "run"
    train(shrink(PRESETS["frogs"], picture_folder, kimg=0.008), run, backup=Backup("alice/whole", 1))
    return "alice/whole", run


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("training/checkpoints/000002/optimizer.pkl", b"\x80\x04.", "is no part of a run that ganhub wrote"),
        ("training/checkpoints/000002/state.py", b"1", "is no part of a run that ganhub wrote"),
        ("training/recipe.json", b"{" * 2_000_000, "2,000,000 bytes, at most 1,048,576"),
        ("training/recipe.json", b'{"resolution": 100000}', "resolution"),
        ("training/recipe.json", b'{"generator": {"width": 1000000000}}', "width"),
        ("training/checkpoints/000002/state.json", b"{}", "damaged"),
        ("training/checkpoints/000009/state.json", b"{}", "generator.safetensors is missing"),
    ],
)
def test_a_malicious_run_is_one_line_and_leaves_nothing(hub, whole, name, content, words, tmp_path):
    repo, api = whole[0], HfApi()
    branch = f"b{abs(hash((name, content)))}"
    api.create_branch(repo, branch=branch)
    api.upload_file(repo_id=repo, path_in_repo=name, path_or_fileobj=content, revision=branch)
    with pytest.raises(UserError, match=words) as refused:
        restore(f"hub://{repo}@{branch}", tmp_path / "run")
    assert list(tmp_path.iterdir()) == [] and "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["checkpoints/../../x/state.json", "checkpoints/000002/../ema.safetensors", "/etc/x"])
def test_names_that_lead_elsewhere_are_refused(name):
    with pytest.raises(UserError, match="is no part of a run"):
        choose("a/b", {name: None})


@pytest.mark.parametrize(
    "sizes, words",
    [
        ({"rng-1": 5000}, None),
        ({"rng-0": 2**22 + 1}, "rng-0.safetensors has 4,194,305 bytes, at most 4,194,304 are taken"),
        ({"rng-2": 5000}, "lacks the random state of a process"),
        ({"rng-01": 5000}, "is no part of a run"),
        ({"generator": 6 * 2**30, "ema": 6 * 2**30, "memory": 6 * 2**30}, r"training/ has [\d,]+ bytes, at most"),
    ],
)
def test_a_run_has_the_size_of_a_run(sizes, words):
    sizes = dict.fromkeys(NEEDED, 1000) | sizes
    files = {f"checkpoints/000002/{part}.safetensors": size for part, size in sizes.items()}
    files |= {"recipe.json": 100, "checkpoints/000002/state.json": 100}
    files = {path: RepoFile(path=path, size=size, oid="0" * 40) for path, size in files.items()}
    if words is None:
        assert set(choose("a/b", files)) == set(files)
        return
    with pytest.raises(UserError, match=words):
        choose("a/b", files)


@pytest.mark.parametrize("fault", [{"status": 503}, {"kind": "corrupt"}, {"kind": "drop", "after": 1000}])
def test_what_passes_is_tried_again(hub, whole, fault, tmp_path):
    hub.fault("GET .*/cdn/", **fault)
    restore(f"hub://{whole[0]}", tmp_path / "run")
    assert not hub.faults[0]["times"]


@pytest.mark.parametrize("kind", ["corrupt", "truncate"])
def test_a_damaged_download_is_never_taken(hub, whole, kind, tmp_path):
    hub.fault("GET .*/cdn/", kind=kind, after=1000, times=1000)
    with pytest.raises(UserError, match="whole"):
        restore(f"hub://{whole[0]}", tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
    hub.faults.clear()
    restore(f"hub://{whole[0]}", tmp_path / "run")
    mine, theirs = contents(tmp_path / "run"), contents(whole[1])
    assert [key for key in theirs if not torch.equal(mine[key], theirs[key])] == []


def test_of_several_processes_one_restores_and_all_go_on(hub, whole, tmp_path):
    (tmp_path / "go.py").write_text(
        "import sys; from pathlib import Path; from training.restore import restore\n"
        "restore(sys.argv[1], Path('run'))\n"
        "import torch; from torch.distributed import group\n"
        "from training import checkpoint; from accelerate import Accelerator\n"
        "rank = Accelerator().process_index\n"
        "wait = group.WORLD._get_backend(torch.device('cpu')).options._timeout\n"
        "Path(f'seen-{rank}').write_text(f\"{checkpoint.find(Path('run')).name}, {wait}\")\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "go.py"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    address = f"hub://{whole[0]}"
    done = subprocess.run([*command, address], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    assert [(tmp_path / f"seen-{rank}").read_text() for rank in (0, 1)] == ["000002, 6:00:00"] * 2
