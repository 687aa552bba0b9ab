"""Counting modes: exact numbers for exact points, and the command on models and runs."""

import json
import math
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from ganhub import GANPipeline, UserError
from ganhub.models import dcgan, mlp
from training import modes, toys
from training.recipe import Recipe

RING = toys.MIXTURES["ring"]
POINTS = {"arch": "mlp", "resolution": 1, "channels": 2, "latent_dim": 4, "generator": {"hidden": [4]}}


def at_mode(mode: int) -> mlp.Generator:
    """Draws the centre of one mode of the ring, whatever the latents."""
    generator = mlp.Generator(resolution=1, channels=2, latent_dim=4, hidden=(4,))
    torch.nn.init.zeros_(generator.to_image.weight)
    generator.to_image.bias.data = RING.centres[mode].atanh()
    return generator


def test_points_are_counted_as_the_papers_do():
    centres, std = torch.tensor([[0.0, 0.0], [1.0, 0.0], [5.0, 5.0]]), 0.1
    points = torch.tensor([[0.0, 0.29], [0.0, 0.31], [0.9, 0.0], [0.9, 0.1], [4.0, 4.0]])
    found = modes.count_points(points, centres, std)
    assert found["modes"] == 2 and found["of"] == 3  # the third has a sample, but a poor one
    assert found["high_quality"] == pytest.approx(3 / 5)
    shares = [0.4, 0.4, 0.2]
    assert found["reverse_kl"] == pytest.approx(sum(p * math.log(3 * p) for p in shares))
    assert found["forward_kl"] == pytest.approx(sum(math.log(1 / (3 * p)) for p in shares) / 3)


def test_divergences_at_both_ends():
    assert modes.divergences(torch.tensor([7, 7, 7, 7])) == {"reverse_kl": 0.0, "forward_kl": 0.0}
    collapsed = modes.divergences(torch.tensor([0, 9, 0, 0]))
    assert collapsed == {"reverse_kl": pytest.approx(math.log(4)), "forward_kl": None}


@pytest.mark.parametrize("name", toys.MIXTURES)
def test_the_data_itself_is_the_best_there_is(name):
    gaussians = toys.MIXTURES[name]
    found = modes.count_points(toys.draw(gaussians, 20_000, 3)[0], gaussians.centres, gaussians.std)
    assert found["modes"] == found["of"] and found["reverse_kl"] < 1e-9
    assert found["high_quality"] == pytest.approx(1 - math.exp(-4.5), abs=0.003)  # of a round Gaussian within 3 std


def test_a_collapsed_generator_is_measured_and_left_as_it_was():
    generator = at_mode(2).train()
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    state = torch.get_rng_state()
    found = modes.measure(generator, "toy:ring", samples=1500)
    assert found == {
        "samples": 1500,
        "seed": 0,
        "modes": 1,
        "of": 8,
        "high_quality": 1.0,
        "reverse_kl": pytest.approx(math.log(8)),
        "forward_kl": None,
    }
    assert generator.training and torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in generator.state_dict().items())


def test_classes_take_turns():
    generator = mlp.Generator(resolution=1, channels=2, latent_dim=4, num_classes=8, hidden=(8,))
    linear = generator.blocks[0][0]
    linear.weight.data = torch.cat([torch.zeros(8, 4), torch.eye(8)], dim=1)  # the class and nothing else
    linear.bias.data.zero_()
    generator.to_image.weight.data = RING.centres.atanh().T.contiguous()
    generator.to_image.bias.data.zero_()
    found = modes.measure(generator, "toy:ring", samples=1600)
    assert (found["modes"], found["high_quality"], found["reverse_kl"]) == (8, 1.0, 0.0)


def test_samples_are_drawn_from_their_seeds():
    generator = mlp.Generator(resolution=1, channels=2, latent_dim=4, hidden=(4,))
    whole = torch.cat(list(modes.drawn(generator, 50, seed=7)))
    parts = torch.cat(list(modes.drawn(generator, 50, seed=7, chunk=13)))
    assert torch.allclose(whole, parts, atol=1e-6)
    assert torch.allclose(torch.cat(list(modes.drawn(generator, 10, seed=17))), whole[10:20], atol=1e-6)


def test_a_stack_is_read_channel_by_channel():
    names = toys.DIGITS[::-1]

    def look(images, device):
        assert images.shape[1:] == (1, 4, 4)
        return None, 9 - images[:, 0, 0, 0].long() // 20  # the class whose name is the digit

    digits = torch.tensor([[1, 2, 3], [9, 0, 7]])
    images = (20 * digits).to(torch.uint8)[:, :, None, None].expand(-1, -1, 4, 4)
    lens = SimpleNamespace(look=look, class_names=names)
    assert modes.read_stacks(images, lens, "cpu").tolist() == [123, 907]


def test_stacked_digits_are_read_by_the_shipped_classifier():
    generator = dcgan.Generator(resolution=16, channels=3, width=4, latent_dim=8)
    generator.to_image.bias.data.fill_(-9)  # black
    found = modes.measure(generator, "stacked:digits", samples=30)
    assert found["of"] == 1000 and found["modes"] == 1 and found["reverse_kl"] == pytest.approx(math.log(1000))
    assert found["classifier"] == "digit-classifier" and len(found["classifier_sha256"]) == 64


def test_the_command_counts_a_model_folder(tmp_path, capsys):
    GANPipeline(at_mode(5)).save_pretrained(tmp_path / "model")
    Recipe(data="toy:ring").save(tmp_path / "model" / "recipe.json")
    found = modes.run(modes.Modes(str(tmp_path / "model"), samples=100, json=tmp_path / "modes.json"))
    assert json.loads((tmp_path / "modes.json").read_text()) == found
    assert found["model"] == "model" and found["data"] == "toy:ring" and found["modes"] == 1
    assert capsys.readouterr().out == (
        "model on toy:ring: 1 of 8 modes in 100 samples, 100.0% of high quality; "
        "reverse KL 2.0794, forward KL infinite\n"
    )
    with pytest.raises(UserError, match="can't be written"):
        modes.run(modes.Modes(str(tmp_path / "model"), samples=10, json=tmp_path / "no" / "modes.json"))


def test_the_command_counts_the_averaged_generator_of_a_runs_newest_checkpoint(tmp_path):
    recipe = Recipe(data="toy:ring", **POINTS)
    recipe.save(tmp_path / "recipe.json")
    for step, mode in ((99, 1), (100, 6)):
        folder = tmp_path / "checkpoints" / f"{step:06d}"
        folder.mkdir(parents=True)
        save_file(at_mode(mode).state_dict(), folder / "ema.safetensors")
        save_file(recipe.build()[1].state_dict(), folder / "discriminator.safetensors")
        (folder / "state.json").write_text('{"class_names": [], "clock": {"images": 0}}')
    assert modes.run(modes.Modes(str(tmp_path), samples=10))["modes"] == 1
    from training.trained import open_trained

    points = next(modes.drawn(open_trained(str(tmp_path)).generator, 3, seed=0)).flatten(1)
    assert torch.allclose(points, RING.centres[6].expand(3, 2), atol=1e-5)


def test_what_cannot_be_counted_is_one_line(tmp_path):
    pictures = dcgan.Generator(resolution=16, channels=3, width=4, latent_dim=8)
    for words, arguments in {
        "modes are known of toy:ring, toy:grid and stacked:DATA only": (pictures, "some/data"),
        "no data: modes are known": (pictures, ""),
        "toy:grid: has 2 channels, the generator draws 3": (pictures, "toy:grid"),
        "stacked:x: has 3 channels, the generator draws 2": (at_mode(0), "stacked:x"),
        "no such toy data set": (at_mode(0), "toy:spiral"),
        "--samples must be at least 1, got -1": (at_mode(0), "toy:ring", -1),
    }.items():
        with pytest.raises(UserError, match=words):
            modes.measure(*arguments)
    for name, words in {
        "none": "doesn't tell the ten digits apart",
        "nothing": "--classifier nothing: no such",
    }.items():
        with pytest.raises(UserError, match=words) as caught:
            modes.measure(pictures, "stacked:x", 1, classifier=name)
        assert "--extractor" not in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(UserError, match="no such model"):
        modes.run(modes.Modes(str(tmp_path / "nothing")))
    for seed in (-1, 2**63, 10**20):
        with pytest.raises(UserError, match=f"--seed must be from 0 to 9223372036854775807, got {seed}"):
            modes.run(modes.Modes(str(tmp_path / "nothing"), seed=seed))
