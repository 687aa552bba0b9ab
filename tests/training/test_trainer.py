"""The loop end to end: every preset trains, and a run that was killed goes on bit for bit."""

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from ganhub import UserError
from ganhub.models.residual import ClassNorm
from tests.conftest import write_pictures
from tests.training.conftest import ROOT, SMALL, shrink
from training import checkpoint, selection, trainer
from training.data import Batches, ImageData
from training.objectives import OBJECTIVES, Objective
from training.presets import PRESETS
from training.recipe import Recipe
from training.runlog import read_log
from training.trainer import train

STYLED = {**SMALL["resnet"], "arch": "resnet", "generator": {"width": 4, "mapping": 2}}
PARTS = ("generator", "discriminator", "ema", "g_optimizer", "d_optimizer", "rng-0")


def contents(run_dir):
    """Every tensor of the newest checkpoint."""
    files = sorted(checkpoint.find(run_dir).glob("*.safetensors"))
    assert {re.sub(r"rng-\d", "rng-0", file.stem) for file in files} - {"memory"} == set(PARTS)
    return {f"{file.stem}.{key}": value for file in files for key, value in load_file(file).items()}


def assert_same_run(a, b):
    first, second = contents(a), contents(b)
    assert first.keys() == second.keys() and len(first) > 50
    assert [key for key in first if not torch.equal(first[key], second[key])] == []
    states = [checkpoint.read_record(checkpoint.find(run)) for run in (a, b)]
    assert states[0] == states[1]
    assert [path.name for path in sorted((a / "samples").iterdir())] == [
        path.name for path in sorted((b / "samples").iterdir())
    ]
    for picture in (a / "samples").iterdir():
        assert picture.read_bytes() == (b / "samples" / picture.name).read_bytes()
    logs = [
        [{k: v for k, v in line.items() if k != "images_per_second"} for line in read_log(r / "log.jsonl")]
        for r in (a, b)
    ]
    assert logs[0] == logs[1]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_trains_and_resumes_exactly(name, picture_folder, tmp_path):
    stacks = name == "stacked-mnist" and write_pictures(tmp_path / "digits", tuple("0123456789"), count=1)
    recipe = shrink(PRESETS[name], f"stacked:{stacks}" if stacks else picture_folder)
    train(recipe, tmp_path / "whole")
    train(dataclasses.replace(recipe, kimg=recipe.kimg / 2), tmp_path / "halves")
    train(recipe, tmp_path / "halves", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "halves")
    log = read_log(tmp_path / "whole" / "log.jsonl")
    assert len(log) >= 5 and {"d_loss", "g_loss", "d_accuracy", "images_per_second"} <= log[0].keys()
    assert list((tmp_path / "whole" / "tensorboard").rglob("events.*"))
    assert Recipe.load(tmp_path / "whole" / "recipe.json") == recipe


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_moves_both_networks(objective, recipe, tmp_path):
    recipe = dataclasses.replace(recipe, objective=objective, d_steps=2, kimg=0.016)
    if OBJECTIVES[objective].autoencoder:
        recipe = dataclasses.replace(recipe, arch="autoencoder", penalties={}, penalty_every=1, **SMALL["autoencoder"])
    before = recipe_start(recipe)
    train(recipe, tmp_path)
    after = contents(tmp_path)
    for part, network in before.items():
        still = [key for key, value in network.items() if torch.equal(value, after[f"{part}.{key}"])]
        differences_only = part == "discriminator" and objective in ("relativistic", "wasserstein")
        assert still == (["to_logit.bias"] if differences_only else [])


@pytest.mark.parametrize(
    "changes",
    [
        {"objective": "began", "arch": "autoencoder", "penalties": {}, "penalty_every": 1, **SMALL["autoencoder"]},
        {"augment_target": 0.6, "augment_adapt_kimg": 0.05, "augment_p": 0.5},
        {"d_optimizer": "sgd", "d_optimizer_args": {"momentum": 0.9, "nesterov": True}, "g_optimizer": "rmsprop"},
        {"lr_schedule": "cosine", "lr_kimg": 0.04, "instance_noise": 0.1, "instance_noise_kimg": 0.04, "accumulate": 2},
        {"label_flip": 0.3, "real_label": (0.8, 1.0), "label_noise": 0.1, "shuffle": False, "g_steps": 2},
        {"typical": 0.6},
        {
            "later_kimg": 0.012,
            "later": {"typical": 0.6, "typical_by": "edges", "later_kimg": 0.028, "later": {"typical": 1.0}},
        },
        {
            "later_kimg": 0.012,
            "later": {"sharpest": 0.7, "later_kimg": 0.028, "later": {"sharpest": 0.9, "typical": 0.8}},
        },
        {"later_kimg": 0.012, "later": {"augment_p": 0.5, "penalty_every": 1, "g_lr": 1e-3}},
        {"later_kimg": 0.02, "later": {"penalties": {"r1": 1.0}}, "lr_schedule": "linear", "lr_kimg": 0.02},
        STYLED,
        {**STYLED, "grow_from": 8, "grow_kimg": 0.012},
    ],
)
def test_what_remembers_or_draws_resumes_exactly(changes, recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(selection, "FEWEST", 11)
    recipe = dataclasses.replace(recipe, **changes)
    train(recipe, tmp_path / "whole")
    train(dataclasses.replace(recipe, kimg=recipe.kimg / 2), tmp_path / "halves")
    train(recipe, tmp_path / "halves", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "halves")


@pytest.mark.parametrize("conditional", [True, False])
def test_a_run_learns_from_typical_pictures_only(conditional, recipe, tmp_path, caplog, monkeypatch):
    """And its digest is that of all pictures, which evaluating and resuming ask for."""
    monkeypatch.setattr(selection, "FEWEST", 12)
    recipe = dataclasses.replace(recipe, conditional=conditional)
    whole, chosen = (dataclasses.replace(recipe, typical=share) for share in (1.0, 0.75))
    (_, _, everything, _), (_, _, most, state) = (
        trainer.prepare(r, tmp_path / str(r.typical), False, None) for r in (whole, chosen)
    )
    data = everything.data
    numbers = selection.select(data, chosen.selection(), by_class=conditional)
    assert everything.indices(0, 24).sort().values.tolist() == list(range(24))
    assert torch.equal(most.indices(0, 18).sort().values, numbers) and len(numbers) == 18
    assert data.labels[numbers].bincount().tolist() == [9, 9] or not conditional
    assert state.data_digest == data.digest
    assert caplog.messages == ["learning from the 18 most typical of 24 pictures; --typical 1 takes all"]


def test_a_later_choice_of_pictures_is_said_once(recipe, caplog):
    data = ImageData(torch.zeros(20, 1, 16, 16, dtype=torch.uint8), None, (), "random")
    later = {"typical": 0.75, "later_kimg": 0.7, "later": {"typical": 0.1}}
    recipe = dataclasses.replace(recipe, kimg=0.9, later_kimg=0.5, later=later)
    trainer.warn(recipe, data, [(0.0, torch.arange(20)), (0.5, torch.arange(15)), (0.7, torch.arange(2))])
    assert caplog.messages == [
        "learning from the 15 most typical of 20 pictures from 0.5 kimg on; typical=1 in later takes all",
        "learning from the 2 most typical of 20 pictures from 0.7 kimg on; typical=1 in later takes all",
        f"2 pictures of {recipe.data} are fewer than a batch of 4",
    ]


def every(data: ImageData) -> selection.Choices:
    return [(0.0, torch.arange(len(data)))]


@pytest.mark.parametrize("kimg, warned", [(10.0, True), (10.5, False)])
def test_a_run_that_ends_before_a_change_warns(kimg, warned, recipe, caplog):
    data = ImageData(torch.zeros(recipe.batch_size, 1, 16, 16, dtype=torch.uint8), None, (), "random")
    trainer.warn(dataclasses.replace(recipe, kimg=kimg, later_kimg=10.0, later={"g_lr": 1e-4}), data, every(data))
    said = "the run ends at 10 kimg, without what the recipe has for later_kimg 10; a --kimg above that reaches it"
    assert caplog.messages == [said] * warned


@pytest.mark.parametrize("changes, warned", [({}, False), ({"ema_kimg": 4.0}, True), ({"ema_kimg": 2.5}, False)])
def test_a_half_life_that_was_asked_for_and_is_never_reached_warns(changes, warned, recipe, caplog):
    data = ImageData(torch.zeros(recipe.batch_size, 1, 16, 16, dtype=torch.uint8), None, (), "random")
    trainer.warn(dataclasses.replace(recipe, kimg=50.0, **changes), data, every(data))
    said = "ema_kimg 4 is never reached: the half-life is at most 5 % of the run so far, 2.5 kimg at its end"
    assert caplog.messages == [said] * warned


def test_what_typical_compares_by_without_a_share_warns(recipe, caplog):
    data = ImageData(torch.zeros(recipe.batch_size, 1, 16, 16, dtype=torch.uint8), None, (), "random")
    later = {"later_kimg": recipe.kimg / 2, "later": {"typical_by": "edges", "g_lr": 1e-4}}
    for changes in ({"typical_by": "edges"}, later):
        trainer.warn(dataclasses.replace(recipe, **changes), data, every(data))
        assert caplog.messages == ["typical_by has no effect, for typical 1 takes all"]
        caplog.clear()
    recipe = dataclasses.replace(recipe, typical_by="edges")
    trainer.warn(dataclasses.replace(recipe, kimg=9.0, later_kimg=9.0, later={"typical": 0.5}), data, every(data))
    assert len(caplog.messages) == 1 and "typical_by" not in caplog.messages[0]  # the run ends before that


def test_a_run_of_before_a_field_was_there_goes_on_exactly(recipe, tmp_path):
    train(recipe, tmp_path / "whole")
    train(dataclasses.replace(recipe, kimg=recipe.kimg / 2), tmp_path / "halves")
    file = tmp_path / "halves" / "recipe.json"
    values = json.loads(file.read_text())
    del values["sharpest"]
    file.write_text(json.dumps(values))
    train(recipe, tmp_path / "halves", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "halves")


@pytest.mark.parametrize("capability", [None, "avx512_bf16", "amx_bf16", "bf16"])
def test_a_cpu_without_bf16_warns(capability, recipe, caplog, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True, capability: True}, raising=False)
    data = ImageData(torch.zeros(recipe.batch_size, 1, 16, 16, dtype=torch.uint8), None, (), "random")
    for precision in ("no", "bf16"):
        trainer.warn(dataclasses.replace(recipe, mixed_precision=precision), data, every(data))
    assert ["no instructions for bf16" in message for message in caplog.messages] == ([] if capability else [True])


def test_too_few_to_choose_from_end_the_run_before_it_begins(recipe, tmp_path):
    with pytest.raises(UserError, match="12 pictures of dark are too few"):
        train(dataclasses.replace(recipe, typical=0.75), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def recipe_start(recipe):
    torch.manual_seed(recipe.seed)
    generator, discriminator = recipe.build(2)
    return {
        "generator": dict(generator.named_parameters()),
        "discriminator": dict(discriminator.named_parameters()),
    }


def start(recipe, run_dir, *options, processes=1):
    """`python -m training train` of this very recipe, in a process of its own, or in several."""
    code = (
        "import sys; from pathlib import Path; from training.recipe import Recipe; from training.__main__ import main\n"
        "from training.presets import PRESETS\n"
        f"PRESETS['tiny'] = Recipe.load(Path({str(run_dir.parent / 'tiny.json')!r}))\n"
        "main()"
    )
    recipe.save(run_dir.parent / "tiny.json")
    (script := run_dir.parent / "train.py").write_text(code)
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"] * (processes > 1)
    command = [sys.executable, *launcher, str(script), "train", "tiny", "--run-dir", str(run_dir), *options]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env)


def wait_for(condition, process, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end, "the run did not get there in time"
        time.sleep(0.01)


def test_a_run_killed_outright_resumes_exactly(recipe, tmp_path):
    process = start(dataclasses.replace(recipe, kimg=1000.0), tmp_path / "killed")
    wait_for(lambda: newest(tmp_path / "killed") >= 30, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    longer = dataclasses.replace(recipe, kimg=4 * (newest(tmp_path / "killed") + 15) / 1000)
    train(longer, tmp_path / "whole")
    train(longer, tmp_path / "killed", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


def newest(run_dir):
    return max((int(path.name) for path in checkpoint.folders(run_dir)), default=-1)


def test_a_run_stopped_before_its_first_step_resumes_too(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "make_step", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(recipe, tmp_path / "stopped")
    monkeypatch.undo()
    train(recipe, tmp_path / "stopped", resume=True)
    train(recipe, tmp_path / "whole")
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


def test_a_refused_or_failed_resume_leaves_the_recipe_as_it_was(recipe, tmp_path, monkeypatch):
    train(dataclasses.replace(recipe, kimg=0.02), tmp_path / "run")
    before = (tmp_path / "run" / "recipe.json").read_bytes()
    others = write_pictures(tmp_path / "others", count=13)
    with pytest.raises(UserError, match="trained on other pictures"):
        train(dataclasses.replace(recipe, data=str(others)), tmp_path / "run", resume=True)

    def full(self, text, **_):
        open(self, "w").close()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(UserError, match="can't be written .No space left on device"):
        train(recipe, tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "recipe.json").read_bytes() == before


def test_checkpoints_are_ordered_by_number(tmp_path):
    for name in ("1000000", "950000", "0x", ".000007.partial"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    assert [path.name for path in checkpoint.folders(tmp_path)] == ["950000", "1000000"]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_says_how_to_go_on_and_sets_the_exit_status(signum, recipe, tmp_path):
    recipe = dataclasses.replace(recipe, kimg=1000.0, save_kimg=1000.0, sample_kimg=1000.0)
    process = start(recipe, tmp_path / "run")
    wait_for(lambda: len(read_log(tmp_path / "run" / "log.jsonl")) > 3, process)
    process.send_signal(signum)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signum
    assert "--resume" in errors and "Traceback" not in errors
    steps = checkpoint.read_record(checkpoint.find(tmp_path / "run"))["clock"]["steps"]
    short = dataclasses.replace(recipe, kimg=4 * (steps + 5) / 1000)
    train(short, tmp_path / "whole")
    train(short, tmp_path / "run", resume=True)
    whole, resumed = contents(tmp_path / "whole"), contents(tmp_path / "run")
    assert [key for key in whole if not torch.equal(whole[key], resumed[key])] == []


def test_a_signal_stops_all_processes_at_once(recipe, tmp_path):
    """A launcher hands it on, and kills after half a minute; a log may be due much later."""
    recipe = dataclasses.replace(recipe, kimg=1000.0, save_kimg=0.08, log_kimg=1000.0, sample_kimg=1000.0)
    process = start(recipe, tmp_path / "run", processes=2)
    wait_for(lambda: newest(tmp_path / "run") >= 10, process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    said = re.findall("stopped by SIGTERM .*Go on with: (.*)", errors)
    assert len(said) == 1 and said[0].startswith("torchrun --nproc_per_node 2 -m training train tiny --run-dir")


def test_nan_stops_the_run_and_keeps_the_last_good_checkpoint(recipe, tmp_path, monkeypatch):
    calls = []

    def poisoned(real, fake):
        calls.append(1)
        return OBJECTIVES["non_saturating"].d_loss(real, fake) * (float("nan") if len(calls) == 8 else 1.0)

    monkeypatch.setitem(OBJECTIVES, "hinge", Objective(poisoned, OBJECTIVES["non_saturating"].g_loss))
    with pytest.raises(UserError, match="d_loss.* became NaN or infinite before 0.0 kimg; the last good checkpoint"):
        train(dataclasses.replace(recipe, objective="hinge"), tmp_path)
    assert checkpoint.find(tmp_path).name == "000005"
    assert all(torch.isfinite(value).all() for value in contents(tmp_path).values() if value.is_floating_point())


@pytest.mark.parametrize("name", ["generator", "discriminator", "ema"])
def test_weights_that_broke_after_their_losses_reach_no_checkpoint(name, recipe, tmp_path, monkeypatch):
    make_step = trainer.make_step

    def breaking(game, batches):
        step = make_step(game, batches)

        def broken():
            stats = step()
            if game.state.clock.steps == 10:
                next(game.state.networks()[name].parameters()).data.fill_(float("inf"))
            return stats

        return broken

    monkeypatch.setattr(trainer, "make_step", breaking)
    with pytest.raises(UserError, match=f"the weights of the {name} became NaN or infinite; the last good checkpoint"):
        train(dataclasses.replace(recipe, sample_kimg=1.0), tmp_path)
    assert checkpoint.find(tmp_path).name == "000005"
    assert read_log(tmp_path / "log.jsonl")[-1]["kimg"] == 0.04  # whose numbers were finite


def test_a_full_disk_is_one_line_and_the_checkpoints_before_stay(recipe, tmp_path, monkeypatch):
    save = checkpoint._save_tensors

    def full(tensors, file):
        if "000010" in str(file):
            raise OSError(28, "No space left on device")
        save(tensors, file)

    monkeypatch.setattr(checkpoint, "_save_tensors", full)
    with pytest.raises(UserError, match="000010: can't be written .*No space left"):
        train(recipe, tmp_path)
    left = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert left == ["000000", "000005", "latest"]
    monkeypatch.undo()
    train(recipe, tmp_path, resume=True)
    assert checkpoint.find(tmp_path).name == "000010"


def test_old_checkpoints_go_and_latest_points_to_the_newest(recipe, tmp_path):
    train(dataclasses.replace(recipe, save_kimg=0.008, keep_checkpoints=3), tmp_path)
    assert [path.name for path in checkpoint.folders(tmp_path)] == ["000006", "000008", "000010"]
    assert (tmp_path / "checkpoints" / "latest").resolve().name == "000010"


def test_a_folder_that_holds_a_run_is_not_run_over(recipe, tmp_path):
    train(dataclasses.replace(recipe, kimg=0.02), tmp_path)
    with pytest.raises(UserError, match="already holds a run; go on with --resume"):
        train(recipe, tmp_path)
    with pytest.raises(UserError, match="resuming would change batch_size: 4 -> 8"):
        train(dataclasses.replace(recipe, batch_size=8), tmp_path, resume=True)


@pytest.mark.parametrize("left", ["samples", "snapshots", "log.jsonl"])
def test_a_new_run_mixes_with_nothing_of_another(left, recipe, tmp_path):
    """Sheets and snapshots that are there stay as they are, so those of another run would pass for this one's."""
    short = dataclasses.replace(recipe, kimg=0.02, sample_kimg=0.02, snapshot_kimg=0.02)
    train(short, tmp_path)
    for file in tmp_path.iterdir():
        if file.name != left:
            shutil.rmtree(file) if file.is_dir() else file.unlink()
    with pytest.raises(UserError, match=f"has {left} of another run; remove them, or give another --run-dir"):
        train(short, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [left]


def test_resuming_needs_a_run_the_same_pictures_as_many_processes_and_a_whole_checkpoint(recipe, tmp_path):
    with pytest.raises(UserError, match="holds no run to go on with; leave out --resume to begin one"):
        train(recipe, tmp_path / "nothing", resume=True)
    train(dataclasses.replace(recipe, kimg=0.02), tmp_path / "run")
    with pytest.raises(UserError, match="trained on other pictures"):
        others = write_pictures(tmp_path / "others", count=13)
        train(dataclasses.replace(recipe, data=str(others)), tmp_path / "run", resume=True)
    weights = checkpoint.find(tmp_path / "run") / "ema.safetensors"
    shutil.copy(weights.with_name("rng-0.safetensors"), weights.with_name("rng-1.safetensors"))
    with pytest.raises(UserError, match="000005: was written by another number of processes"):
        train(recipe, tmp_path / "run", resume=True)
    weights.with_name("rng-1.safetensors").unlink()
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(UserError, match="000005: damaged .*delete it to go on from the checkpoint before it"):
        train(recipe, tmp_path / "run", resume=True)


RANK = """
import dataclasses, os, sys
from pathlib import Path

import torch
from accelerate import Accelerator
from torch.distributed import group
from safetensors.torch import save_file

from training import trainer
from training.recipe import Recipe


def watch(owner, name):
    calls, function = [], getattr(owner, name)

    def called(*given, **more):
        calls.append((given, function(*given, **more)))
        return calls[-1][1]

    setattr(owner, name, called)
    return calls


places = [(trainer, "start_state"), (trainer.Batches, "indices"), (trainer.Game, "latents"), (Accelerator, "reduce")]
states, indices, latents, means = (watch(*place) for place in places)
waits, load_images = [], trainer.load_images


def load(recipe):
    waits.append(group.WORLD._get_backend(torch.device("cpu")).options._timeout.total_seconds())
    return load_images(recipe)


trainer.load_images = load
here, (name, kimg, *resume) = Path(sys.argv[1]), sys.argv[2:]
recipe = dataclasses.replace(Recipe.load(here / "recipe.json"), kimg=float(kimg))
ema = trainer.train(recipe, here / name, bool(resume))
seen = {
    "augment_p": states[0][1].memory["augment_p"],
    "shared": torch.cat([p.flatten() for p in (*ema.parameters(), ema.mapping_network.mean)]),
    "numbers": torch.stack([numbers for _, numbers in indices]),
    "latents": latents[0][1],
    "mine": torch.cat([given[1].flatten() for given, _ in means]),
    "mean": torch.cat([mean.flatten() for _, mean in means]),
    "waits": torch.tensor(waits),
}
save_file(seen, here / f"rank-{os.environ['RANK']}.safetensors")
"""


def test_two_processes_train_one_model_and_resume_exactly(recipe, tmp_path):
    """Each learns from its half of every batch. Averaged gradients keep the processes' networks equal, averaged
    verdicts what ADA remembers, averaged styles what truncation aims at."""
    (tmp_path / "run.py").write_text(RANK)
    ada = {"augment_target": 0.05, "augment_p": 0.5, "augment_adapt_kimg": 0.5}
    dataclasses.replace(recipe, **STYLED, conditional=False, **ada).save(tmp_path / "recipe.json")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run(*words):
        words = [str(tmp_path / "run.py"), str(tmp_path), *map(str, words)]
        done = subprocess.run([*command, *words], env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]

    run("whole", recipe.kimg)
    first, second = (load_file(tmp_path / f"rank-{rank}.safetensors") for rank in (0, 1))
    assert torch.equal(first["shared"], second["shared"])
    assert first["augment_p"] == second["augment_p"] != 0.5
    alone = Batches(ImageData(torch.empty(24), None, (), ""), 8, recipe.seed)
    together = torch.cat([first["numbers"], second["numbers"]], 1)
    assert torch.equal(together, torch.stack([alone.indices(8 * i, 8) for i in range(5)]))
    assert not torch.equal(first["latents"], second["latents"])
    assert not torch.equal(first["mine"], second["mine"]) and torch.equal(first["mean"], second["mean"])
    torch.testing.assert_close(first["mean"], (first["mine"] + second["mine"]) / 2)
    assert first["waits"].tolist() == second["waits"].tolist() == [6 * 3600]  # for the data, which one may download
    folder = checkpoint.find(tmp_path / "whole")
    assert len(list(folder.glob("rng-*"))) == 2 and checkpoint.read_record(folder)["clock"]["steps"] == 5
    run("halves", 0.6 * recipe.kimg)
    run("halves", recipe.kimg, "resume")
    assert_same_run(tmp_path / "whole", tmp_path / "halves")


def test_two_threads_resume_exactly(recipe, tmp_path):
    """Networks large enough that torch splits the work: from 32,768 numbers on."""
    sizes = {"generator": {"width": 32}, "discriminator": {"width": 32, "norm": "none"}, "resolution": 32}
    recipe = dataclasses.replace(recipe, **sizes, batch_size=16, kimg=0.032, sample_kimg=0.016, save_kimg=0.016)
    torch.set_num_threads(2)
    try:
        train(recipe, tmp_path / "whole")
        train(dataclasses.replace(recipe, kimg=recipe.kimg / 2), tmp_path / "halves")
        train(recipe, tmp_path / "halves", resume=True)
    finally:
        torch.set_num_threads(1)
    assert_same_run(tmp_path / "whole", tmp_path / "halves")


def test_two_threads_give_the_tables_of_classes_the_same_gradients_every_time():
    norm, x, labels = ClassNorm("none", 512, 2), torch.randn(64, 512, 1, 1), torch.arange(64) % 2

    def gradients():
        norm.zero_grad()
        norm(x, labels).square().sum().backward()
        return torch.cat([norm.scale.grad, norm.shift.grad])

    torch.set_num_threads(2)
    try:
        first, *others = (gradients() for _ in range(20))
    finally:
        torch.set_num_threads(1)
    assert all(torch.equal(first, other) for other in others)


def test_half_precision_resumes_exactly(recipe, tmp_path):
    half = {
        "mixed_precision": "bf16",
        "objective": "relativistic",
        "one_stage": True,
        "discriminator": {"width": 4, "norm": "none"},
    }
    recipe = dataclasses.replace(recipe, **half)
    AcceleratorState._reset_state(True)
    try:
        train(recipe, tmp_path / "whole")
        assert AcceleratorState().mixed_precision == "bf16"
        train(dataclasses.replace(recipe, kimg=recipe.kimg / 2), tmp_path / "halves")
        train(recipe, tmp_path / "halves", resume=True)
    finally:
        AcceleratorState._reset_state(True)
    assert_same_run(tmp_path / "whole", tmp_path / "halves")


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"kimg": 2.0, "lr_kimg": 2.0}, None),
        (
            {"kimg": 1.0, "lr_kimg": 2.0},
            "after 1 of the 2 kimg over which .* fall to 0; .*, --lr-kimg 1$",
        ),
        ({"kimg": 2.0, "lr_kimg": 2.0, "later_kimg": 2.0}, None),  # only the first part
        ({"kimg": 3.0, "lr_kimg": 2.0, "later_kimg": 2.0}, "1 of the 2 kimg .*, lr_kimg=1 in later$"),
        ({"kimg": 3.0, "lr_kimg": 2.0, "later_kimg": 2.0, "later": {"lr_kimg": 1.0}}, None),
        (
            {"kimg": 5.0, "lr_kimg": 2.0, "later_kimg": 2.0, "later": {"later_kimg": 4.0, "later": {"g_lr": 1e-4}}},
            "after 1 of the 2 kimg .*, lr_kimg=1 in later$",
        ),
        (
            {"kimg": 3.0, "lr_kimg": 2.0, "later_kimg": 2.0, "later": {"lr_kimg": 4.0}},
            "1 of the 4 .*, lr_kimg=1 in later$",
        ),
    ],
)
def test_a_run_that_ends_before_its_rates_do_says_so(changes, said, recipe, caplog):
    data = ImageData(torch.zeros(recipe.batch_size, 1, 16, 16, dtype=torch.uint8), None, (), "random")
    trainer.warn(dataclasses.replace(recipe, lr_schedule="linear", **changes).check(), data, every(data))
    messages = [message for message in caplog.messages if "learning rates" in message]
    assert len(messages) == bool(said) and (not said or re.search(said, messages[0]))


def test_a_class_without_a_picture_is_no_class(recipe):
    data = ImageData(torch.zeros(2, 3, 16, 16, dtype=torch.uint8), torch.tensor([0, 2]), ("dark", "never", "light"), "")
    trainer.check_classes(dataclasses.replace(recipe, conditional=False), data)
    with pytest.raises(UserError, match="has no picture of class never; name the others with --classes"):
        trainer.check_classes(dataclasses.replace(recipe, conditional=True), data)
