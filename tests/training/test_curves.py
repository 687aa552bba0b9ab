"""The curves and the energy estimate of a card."""

import pytest
import torch
from PIL import Image

from training.checkpoint import device_name
from training.curves import draw, smoothed, split
from training.energy import power

LOG = [
    {"kimg": float(i), "d_loss": 1 / i, "g_loss": i / 50, "d_accuracy": 0.5, "images_per_second": 100.0}
    for i in range(1, 101)
]


def test_the_same_log_gives_the_same_small_picture(tmp_path):
    for name in ("a", "b"):
        draw(LOG, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").stat().st_size < 150_000
    picture = Image.open(tmp_path / "a")
    assert picture.size == (720, 250) and not picture.text  # two panels; no date, no version
    draw([{**line, "g_loss": 0.5} for line in LOG], tmp_path / "b")
    assert (tmp_path / "a").read_bytes() != (tmp_path / "b").read_bytes()


def test_whatever_is_logged_has_a_panel_but_the_speed():
    panels = split([{**LOG[0], "real_logit": 1.0, "d_loss_real": 1.0}, {"kimg": 2.0, "r1": 0.1, "augment_p": 0.2}])
    assert panels == {
        "losses": ("d_loss", "g_loss"),
        "accuracy of D": ("d_accuracy",),
        "logits of D": ("real_logit",),
        "r1": ("r1",),
        "augment p": ("augment_p",),
    }


@pytest.mark.parametrize("lines", [1, 2, 3000])
def test_short_and_long_logs(lines, tmp_path):
    draw([{"kimg": float(i), "d_loss": 1.0, "r1": 0.5} for i in range(lines)], tmp_path / "curves.png")
    assert Image.open(tmp_path / "curves.png").size == (720, 250)


def test_no_log_no_picture(tmp_path):
    draw([], tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()


def test_smoothing_keeps_a_constant_and_averages_a_peak():
    assert smoothed([2.0] * 100) == [2.0] * 100
    peak = smoothed([0.0] * 50 + [5.0] + [0.0] * 49)
    assert peak[48:53] == [1.0] * 5 and sum(peak) == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("hardware", "processes", "expected"),
    [
        ("8 CPU cores (4 used)", 1, ("CPU core", 4, 10.0)),
        ("8 CPU cores (4 used)", 2, ("CPU core", 8, 10.0)),
        ("NVIDIA H100 80GB HBM3", 1, ("GPU", 1, 700.0)),
        ("NVIDIA H100 PCIe", 2, ("GPU", 2, 350.0)),
        ("Tesla T4", 1, ("GPU", 1, 70.0)),
        ("NVIDIA L4", 1, ("GPU", 1, 72.0)),
        ("NVIDIA GeForce RTX 4070", 1, ("GPU", 1, 200.0)),
        ("NVIDIA GeForce RTX 4070 Ti", 1, ("GPU", 1, 0.0)),  # a card of its own, that isn't listed
        ("NVIDIA GeForce RTX 4090 Laptop GPU", 1, ("GPU", 1, 0.0)),
        ("NVIDIA L40S", 1, ("GPU", 1, 350.0)),
        (device_name(torch.device("mps")), 1, ("GPU", 1, 0.0)),
        (device_name(torch.device("cpu")), 1, ("CPU core", torch.get_num_threads(), 10.0)),
        ("A card of tomorrow", 1, ("GPU", 1, 0.0)),
    ],
)
def test_power(hardware, processes, expected):
    found = power(hardware, processes)
    assert (found.unit, found.units, found.watts) == expected and bool(found.watts) == bool(found.watts_source)
