"""What a run writes for people, and the average that it draws from."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from ganhub import GANPipeline
from ganhub.layout import evenly
from training import trainer
from training.clock import Clock
from training.critic import Critic
from training.penalties import PENALTIES
from training.recipe import Recipe
from training.runlog import forget_after, read_log
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
