"""A checkpoint is whole or not there at all."""

import os
import shutil
from pathlib import Path

import torch

from tests.training.game import play
from training import checkpoint


def test_a_checkpoint_is_on_the_disk_before_it_is_renamed_and_older_ones_go_after_that(tmp_path, monkeypatch):
    game, calls = play(), []
    for game.state.clock.steps in (0, 5):
        checkpoint.save(tmp_path, game.state, game.accelerator, keep=2)

    def note(module, name, told):
        function = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda *given, **more: calls.append((name, told(*given))) or function(*given, **more)
        )

    note(os, "fsync", lambda file: os.fstat(file).st_ino)
    note(os, "replace", lambda source, target: Path(target).name)
    note(shutil, "rmtree", lambda path: Path(path).name)
    game.state.clock.steps = 7
    final = checkpoint.save(tmp_path, game.state, game.accelerator, keep=1)
    flushed = {("fsync", path.stat().st_ino) for path in (*final.iterdir(), final)}
    assert set(calls[: len(flushed)]) == flushed and len(flushed) == 8
    assert calls[len(flushed) :] == [
        ("replace", "000007"),
        ("replace", "latest"),
        ("fsync", final.parent.stat().st_ino),
        ("rmtree", "000000"),
        ("rmtree", "000005"),
    ]


def test_adam_counts_the_steps_of_a_single_number_on_the_cpu():
    """On an accelerator every step would wait to read the count; here that is torch's device without memory."""
    gate = torch.nn.Parameter(torch.zeros((), device="meta"))
    optimizer = torch.optim.Adam([gate])
    tensors = {"0.step": torch.tensor(3.0), "0.exp_avg": torch.zeros(()), "0.exp_avg_sq": torch.zeros(())}
    settings = {"values": {}, "param_groups": optimizer.state_dict()["param_groups"]}
    checkpoint.join_optimizer(optimizer, tensors, settings)
    kept = optimizer.state[gate]
    assert kept["step"].device.type == "cpu" and kept["step"] == 3 and kept["exp_avg"].is_meta
