"""What a run writes for people, and the average that it draws from."""

import dataclasses
import itertools
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from ganhub import GANPipeline
from ganhub.layout import evenly
from tests.training.test_trainer import recipe_start
from training import checkpoint, runlog, trainer
from training.clock import Clock
from training.critic import Critic
from training.penalties import PENALTIES
from training.recipe import Recipe
from training.runlog import Averages, forget_after, read_log, sample_sheet
from training.steps import Game
from training.trainer import ema_decay, train, update_ema


def test_snapshots_stay_and_load_and_the_sheets_become_an_animation(recipe, tmp_path):
    train(dataclasses.replace(recipe, snapshot_kimg=0.016), tmp_path)
    snapshots = sorted((tmp_path / "snapshots").iterdir())
    assert [path.name for path in snapshots] == ["000000016", "000000032"]
    pipe = GANPipeline.from_pretrained(snapshots[-1], discriminator=True)
    assert pipe(num_images=2).labels == [0, 1]
    weights = load_file(snapshots[0] / "generator" / "diffusion_pytorch_model.safetensors")
    assert {value.dtype for key, value in weights.items() if key.endswith("weight")} == {torch.float16}
    with Image.open(tmp_path / "samples.gif") as gif:
        assert gif.n_frames == len(list((tmp_path / "samples").iterdir())) == 2


def test_what_a_run_shows_and_keeps_is_the_average(recipe, tmp_path, monkeypatch):
    networks = []

    def noted(ema, network, decay):
        networks.append({name: p.detach().clone() for name, p in network.named_parameters()})
        update_ema(ema, network, decay)

    monkeypatch.setattr(trainer, "update_ema", noted)
    every = {"sample_kimg": 0.048, "save_kimg": 0.048, "snapshot_kimg": 0.08, "kimg": 0.08}
    recipe = dataclasses.replace(recipe, d_steps=2, g_lr=0.01, **every)
    average = recipe_start(recipe)["generator"]
    train(recipe, tmp_path)
    for i, network in enumerate(networks, start=1):
        decay = 0.5 ** (20 / i)  # 8 images an iteration, and a half-life of 5 % of all that were shown
        average = {name: decay * average[name] + (1 - decay) * value for name, value in network.items()}
    early, last = checkpoint.folders(tmp_path)
    ema, generator = (load_file(last / f"{name}.safetensors") for name in ("ema", "generator"))
    snapshot = load_file(tmp_path / "snapshots/000000080/generator/diffusion_pytorch_model.safetensors")
    for name, value in average.items():
        torch.testing.assert_close(ema[name], value, rtol=1e-5, atol=1e-6)
        assert not torch.allclose(ema[name], generator[name], atol=1e-3)
        assert torch.equal(snapshot[name], ema[name].half())
    for folder, images in ((early, 48), (last, 80)):
        drawn = checkpoint.load_networks(folder, recipe, 2)[0].to(memory_format=torch.channels_last)
        with Image.open(tmp_path / "samples" / f"{images:09d}.png") as sheet:
            assert sheet.tobytes() == sample_sheet(drawn).tobytes()


def test_a_line_has_the_speed_since_the_line_before_it(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(runlog, "time", SimpleNamespace(perf_counter=itertools.count().__next__))  # a second a line
    train(dataclasses.replace(recipe, kimg=0.02), tmp_path)
    train(recipe, tmp_path, resume=True)
    lines = [(line["kimg"], line["images_per_second"]) for line in read_log(tmp_path / "log.jsonl")]
    assert lines == [(0.008, 8.0), (0.016, 8.0), (0.02, 4.0), (0.024, 4.0), (0.032, 8.0), (0.04, 8.0)]


def test_a_line_has_the_means_since_the_line_before_it():
    averages = Averages()
    for stats in ({"d_loss": 1.0}, {"d_loss": 3.0, "r1": 8.0}):
        averages.add({name: torch.tensor(value) for name, value in stats.items()})
    assert averages.flush() == {"d_loss": 2.0, "r1": 8.0}
    averages.add({"d_loss": torch.tensor(5.0)})
    assert averages.flush() == {"d_loss": 5.0} and averages.flush() == {}


def test_tensorboard_gets_the_histograms_of_the_tutorial(recipe, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(recipe, tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"), size_guidance={"histograms": 0}).Reload().Tags()
    assert {f"histogram/{name}" for name in ("z", "real_logit", "fake_logit")} == set(events["histograms"])
    assert {"d_loss_real", "d_loss_fake", "d_loss", "g_loss"} <= set(events["scalars"])
    assert events["images"]


def test_the_log_forgets_what_came_after_the_checkpoint(tmp_path):
    file = tmp_path / "log.jsonl"
    file.write_text("".join(json.dumps({"kimg": kimg}) + "\n" for kimg in (1, 2, 3)) + '{"kim')
    forget_after(file, 2.0)
    assert read_log(file) == [{"kimg": 1}, {"kimg": 2}]


def test_samples_are_never_overwritten(recipe, tmp_path):
    train(dataclasses.replace(recipe, kimg=0.02), tmp_path)
    (sheet,) = (tmp_path / "samples").iterdir()
    sheet.write_bytes(b"mine")
    train(recipe, tmp_path, resume=True)
    assert sheet.read_bytes() == b"mine" and len(list((tmp_path / "samples").iterdir())) == 2


def test_ema_halves_what_it_knew_in_a_half_life_and_copies_buffers():
    recipe, clock = Recipe(ema_kimg=10.0), Clock(images=10**6)
    assert ema_decay(recipe, clock, 10_000) == pytest.approx(0.5)
    assert ema_decay(recipe, Clock(images=20_000), 1000) == pytest.approx(0.5)  # 5 % of 20 kimg so far
    assert ema_decay(Recipe(ema_kimg=0.0), clock, 64) == 0.0
    ema, network = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    network.weight.data.fill_(3.0)
    network.running_mean.fill_(7.0)
    update_ema(ema, network, 0.75)
    assert ema.weight.tolist() == [1.5, 1.5] and ema.running_mean.tolist() == [7.0, 7.0]
    update_ema(torch.nn.Linear(1, 1), torch.nn.Linear(1, 1), 0.5)  # has no buffers


def test_a_penalty_costs_no_forward_pass(recipe):
    passes = []

    class Counting:
        def hidden(self, images, labels):
            passes.append(len(images))
            return [images]

        def judge(self, code, images, labels):
            return images.square().sum((1, 2, 3))

    state = SimpleNamespace(discriminator=Counting(), memory={}, clock=Clock(), networks=dict)
    critic = Critic(Game(Recipe(), state, trainer.Accelerator()), None)
    real, fake = (torch.randn(2, 1, 4, 4).requires_grad_(True) for _ in range(2))
    critic(real), critic(fake)
    for name in ("r1", "r2"):
        PENALTIES[name](critic, real, fake)
    assert passes == [2, 2]


@pytest.mark.parametrize(("count", "kept"), [(0, []), (1, [9]), (2, [0, 9]), (4, [0, 3, 6, 9]), (99, list(range(10)))])
def test_the_first_and_the_last_of_a_history_are_kept(count, kept):
    assert evenly([Path(str(i)) for i in range(10)], count) == [Path(str(i)) for i in kept]
