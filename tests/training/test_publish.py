"""A run to the Hub with one command: exported, refused while unmeasured, published with its history."""

import dataclasses
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest

from ganhub import GANPipeline, UserError
from ganhub.card import read_facts, save_facts, write_card
from ganhub.hub import ZOO, snapshots
from tests.ganhub.pushing import commits, forget_weights, held, shown
from training import __main__ as command_line
from training import export
from training import publish as module
from training.presets import PRESETS
from training.publish import Publish, run
from training.said import Said
from training.trainer import train

SAID = {
    "summary": "Draws levels.",
    "license": "mit",
    "data_citation": "Levels (2026).",
    "data_terms": "Free.",
    "limits": "Draws nothing else.",
    "bias": "None that is known.",
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, picture_folder):
    from tests.training.conftest import shrink

    folder = tmp_path_factory.mktemp("runs") / "run"
    train(shrink(PRESETS["digits"], picture_folder, channels=3, save_kimg=0.02, snapshot_kimg=0.008), folder)
    return folder


@pytest.fixture
def finished(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run", symlinks=True)


def measure(folder):
    """What `evaluate` would leave."""
    shutil.copyfile(ZOO / "digits" / "metrics.json", folder / "metrics.json")
    forget_weights(folder)


def test_a_run_is_exported_measured_and_published(hub, finished, monkeypatch):
    monkeypatch.setenv("GANHUB_PATIENCE", "10")
    options = Publish(source=finished, repo="alice/run", tag="v1", **SAID)
    with pytest.raises(UserError, match=rf"missing: metrics \(python -m training evaluate {finished}/model "):
        run(options)
    assert shown(hub, "alice/run") is None and not hub.requests
    measure(finished / "model")
    plans = []
    done = run(options, plans.append)
    assert plans[0].uploaded == done.uploaded and commits(hub, "alice/run") == 2
    model = held(finished / "model")
    assert {path for path, sha in shown(hub, "alice/run").items() if model.get(path) != sha} <= {
        "README.md",
        "card.json",
    }
    local, remote = (GANPipeline.from_pretrained(name)(4).images for name in (finished / "model", "alice/run"))
    assert [image.tobytes() for image in local] == [image.tobytes() for image in remote]
    assert not run(Publish(source=finished, repo="alice/run", tag="v1")).differs  # what was said is kept
    assert "Draws nothing else." in (finished / "model" / "README.md").read_text()


def test_everything_that_is_missing_is_named(hub, finished):
    with pytest.raises(UserError) as error:
        run(Publish(source=finished, repo="alice/x"))
    for option in ("--data-terms", "--limits", "--bias", "--license", "training evaluate"):
        assert option in str(error.value)
    assert "\n" not in str(error.value) and not hub.requests


def test_a_history_that_cant_be_is_refused_before_anything_goes(hub, finished):
    export.run(export.Export(finished, finished / "model", history=2))
    sheets = sorted((finished / "model" / "snapshots").iterdir())
    with pytest.raises(UserError, match="--history must be 0 to 24, got -1"):
        run(Publish(source=finished, repo="alice/x", history=-1))
    assert sheets and all(sheet.exists() for sheet in sheets) and not hub.requests


def test_what_is_said_later_takes_the_place_of_what_belonged_to_the_old(finished):
    folder = export.run(export.Export(finished, finished / "model", **SAID))
    old = read_facts(folder)
    save_facts(dataclasses.replace(old, license="other", license_name="odd", license_link="l", show_data=True), folder)
    (folder / "memorisation.png").write_bytes(b"training pictures")
    module.state_facts(Said(limits="Few."), folder)
    assert read_facts(folder).license_name == "odd" and (folder / "memorisation.png").exists()
    module.state_facts(Said(license="mit", data_terms="Show none of it."), folder)
    new = read_facts(folder)
    assert (new.license, new.license_name, new.license_link, new.show_data) == ("mit", "", "", False)
    assert new.limits == "Few." and not (folder / "memorisation.png").exists()


def test_an_edited_card_is_never_lost(hub, finished, caplog):
    folder = export.run(export.Export(finished, finished / "model", **SAID))
    measure(folder)
    write_card(folder)
    edited = (folder / "README.md").read_text() + "\nMy own words.\n"
    (folder / "README.md").write_text(edited)
    run(Publish(source=folder, repo="alice/edited", limits="None that I know.", standalone=True))
    assert b'DiffusionPipeline.from_pretrained("alice/edited"' in hub.get_blob(shown(hub, "alice/edited")["README.md"])
    assert (folder / "README.md").read_text() == edited and "README.md isn't as ganhub writes it" in caplog.text
    run(Publish(source=finished, repo="alice/edited", limits="None that I know.", standalone=True))
    assert (folder / ".README.md.old").read_text() == edited
    assert "None that I know." in (folder / "README.md").read_text()
    assert ".README.md.old" not in shown(hub, "alice/edited")


def test_extras_are_told_of_and_their_code_keeps_working(hub, finished):
    folder = export.run(export.Export(finished, finished / "model", standalone=True, **SAID))
    measure(folder)
    write_card(folder)
    run(Publish(source=folder, repo="alice/extras", handler=True))
    text = hub.get_blob(shown(hub, "alice/extras")["README.md"]).decode()
    assert (
        "# extras\n" in text and 'DiffusionPipeline.from_pretrained("alice/extras"' in text and "`handler.py`" in text
    )
    export.run(export.Export(finished, finished / "plain", **SAID))
    measure(finished / "plain")
    before = shown(hub, "alice/extras")
    with pytest.raises(UserError, match="has a pipeline.py, .* repeat --standalone or --handler"):
        run(Publish(source=finished / "plain", repo="alice/extras"))
    assert shown(hub, "alice/extras") == before
    assert run(Publish(source=finished / "plain", repo="alice/extras", handler=True)).commit


def test_a_model_of_points_has_a_card_whose_code_runs_and_can_be_published(hub, tmp_path):
    recipe = dataclasses.replace(PRESETS["ring"], kimg=0.2, batch_size=64, save_kimg=1.0)
    train(recipe, tmp_path / "run")
    folder = export.run(export.Export(tmp_path / "run", tmp_path / "model", license="mit"))
    text = (folder / "README.md").read_text()
    assert "\npoints in the plane, unconditional." in text and "python -m training modes" in text
    (code,) = re.findall(r"```python\n(.*?)```", text, re.S)
    check = "\nassert images.shape == (16, 1, 1, 2)"
    subprocess.run([sys.executable, "-c", code + check], check=True, cwd=tmp_path)
    assert run(Publish(source=folder, repo="alice/ring")).differs


def everything_in(folder):
    return {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_model_of_an_older_checkpoint_is_never_replaced(hub, finished, tmp_path, dry_run):
    newest = max(path for path in (finished / "checkpoints").iterdir() if path.name.isdecimal())
    newest.rename(tmp_path / newest.name)
    model = finished / "model"
    options = Publish(source=finished, repo="alice/older", dry_run=dry_run, **SAID)
    export.run(export.Export(finished, model, name="alice/older", **SAID))
    measure(model)
    (model / "directions.safetensors").write_bytes(b"found")
    before = everything_in(model)
    (tmp_path / newest.name).rename(newest)
    lines = r"after 0.02 kimg, the run's newest checkpoint \(step 10\) is after 0.04; .*export .* --force.*publish"
    with pytest.raises(UserError, match=lines) as refused:
        run(options)
    assert everything_in(model) == before and not hub.requests and "\n" not in str(refused.value)


def test_a_dry_run_leaves_nothing_here(finished):
    before = everything_in(finished)
    with pytest.raises(UserError, match=rf"missing: metrics \(python -m training evaluate {finished}/model "):
        run(Publish(source=finished, repo="alice/x", dry_run=True, **SAID))
    assert everything_in(finished) == before and not (finished / "model").exists()


def test_the_sheets_of_the_training_are_published_on_demand(hub, finished):
    export.run(export.Export(finished, finished / "model", history=1, name="alice/sheets", **SAID))
    measure(finished / "model")
    before = everything_in(finished)
    run(Publish(source=finished, repo="alice/sheets", history=2, dry_run=True, limits="Other limits."))
    run(Publish(source=finished, repo="alice/sheets", history=2, **SAID))
    sheets = {path for path in shown(hub, "alice/sheets") if path.startswith("snapshots/")}
    assert sheets == {"snapshots/000000020.png", "snapshots/000000040.png"} and everything_in(finished) == before
    assert b"`snapshots/` has this sheet" in hub.get_blob(shown(hub, "alice/sheets")["README.md"])
    assert set(run(Publish(source=finished, repo="alice/sheets", **SAID)).deleted) == {"snapshots/000000020.png"}
    with pytest.raises(UserError, match="--history needs the folder of the run"):
        run(Publish(source=finished / "model", repo="alice/sheets", history=2))


def test_half_precision_needs_a_model_of_full_precision(hub, finished):
    run_model = finished / "model"
    export.run(export.Export(finished, run_model, name="alice/twice", **SAID))
    measure(run_model)
    with pytest.raises(
        UserError, match=rf"{run_model}/.*: is in fp16 already, .*export the run again with --dtype fp32"
    ):
        run(Publish(source=finished, repo="alice/twice", variant="fp16", **SAID))
    assert not hub.requests


def test_a_model_folder_is_taken_as_it_is(hub, tmp_path):
    folder = shutil.copytree(ZOO / "digits", tmp_path / "digits")
    before = held(folder)
    run(Publish(source=folder, repo="alice/folder", limits="Only digits."))
    assert held(folder) == before
    assert b"Only digits." in hub.get_blob(shown(hub, "alice/folder")["README.md"])
    with pytest.raises(UserError, match="--snapshots needs the folder of the run"):
        run(Publish(source=folder, repo="alice/folder", snapshots=True))
    with pytest.raises(UserError, match="neither a run nor a model folder"):
        run(Publish(source=tmp_path, repo="alice/folder"))


def test_the_history_is_published_small_and_loads(hub, finished, monkeypatch):
    monkeypatch.setenv("GANHUB_PATIENCE", "10")
    monkeypatch.setattr(module, "MAX_SNAPSHOTS", 2)
    options = Publish(source=finished, repo="alice/history", snapshots=True, **SAID)
    with pytest.raises(UserError, match="missing"):
        run(options)
    measure(finished / "model")
    run(options)
    kept = snapshots("alice/history")
    assert len(kept) == 2 and kept[-1] == max(int(path.name) for path in (finished / "snapshots").iterdir())
    assert not any("snapshots" in path and "discriminator/" in path for path in shown(hub, "alice/history"))
    then = GANPipeline.from_pretrained("alice/history", snapshot=kept[0])(2).images[0]
    here = GANPipeline.from_pretrained(finished / "snapshots" / f"{kept[0]:09d}")(2).images[0]
    assert then.tobytes() == here.tobytes()
    assert not run(options).differs
    monkeypatch.setattr(module, "MAX_SNAPSHOT_BYTES", 10)
    with pytest.raises(UserError, match="publishes at most 10"):
        run(options)
    assert run(Publish(source=finished, repo="alice/history")).deleted


def test_ctrl_c_says_what_the_hub_shows_and_the_same_command_finishes(hub, tmp_path, monkeypatch, capsys):
    folder = shutil.copytree(ZOO / "digits", tmp_path / "digits")
    monkeypatch.setattr(sys, "argv", ["training", "publish", str(folder), "--repo", "alice/stopped"])
    hub.fault("POST .*/preupload/", kind="drop", call=lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(SystemExit) as stop:
        command_line.main()
    error = capsys.readouterr().err
    assert stop.value.code == 130 and error.startswith("stopped; the Hub shows what it showed before, or all of it")
    assert shown(hub, "alice/stopped") == {}
    command_line.main()
    assert shown(hub, "alice/stopped").keys() == held(folder).keys()


def test_the_command_shows_sizes_and_the_address_and_fails_with_one_line(hub, tmp_path, monkeypatch, capsys):
    folder = shutil.copytree(ZOO / "digits", tmp_path / "digits")
    monkeypatch.setattr(sys, "argv", ["training", "publish", str(folder), "--repo", "alice/typed"])
    command_line.main()
    out = capsys.readouterr().out
    assert " kB  upload  samples.png\n" in out and f"{hub.endpoint}/alice/typed: published as commit" in out
    (folder / "metrics.json").unlink()
    with pytest.raises(SystemExit) as stop:
        command_line.main()
    error = capsys.readouterr().err
    assert stop.value.code == 1 and error.startswith("error: ") and error.count("\n") == 1
