"""Foreign DCGAN weights: the same pixels, every tensor accounted for, and no code of the file is run."""

import io
import pickle
import zipfile
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ganhub import GANPipeline, UserError
from ganhub.card import unfilled
from training.convert import Convert, run
from training.foreign import read_weights
from training.recipe import Recipe


def wild(network):
    """As after training: weights and statistics that show a wrong order or a wrong layer."""
    torch.manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1, 0.3)
            nn.init.normal_(module.bias, 0, 0.3)
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
        elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0, 0.3)
    return network.eval()


class Tutorial(nn.Module):
    """A generator as the PyTorch tutorial describes it, at any size; `name` is that of its only attribute."""

    def __init__(self, latent=10, width=4, channels=3, levels=4, bias=False, norm=True, name="main"):
        super().__init__()
        widths = [width * 2**i for i in reversed(range(levels))]
        layers = []
        for i, (a, b) in enumerate(zip([latent, *widths], [*widths, channels])):
            last = i == levels
            layers.append(nn.ConvTranspose2d(a, b, 4, 1 if i == 0 else 2, 0 if i == 0 else 1, bias=bias))
            layers += [nn.Tanh()] if last else [*([nn.BatchNorm2d(b)] if norm else []), nn.ReLU()]
        setattr(self, name, nn.Sequential(*layers))
        self.first = name

    def forward(self, z):
        return getattr(self, self.first)(z[:, :, None, None])


class Judge(nn.Module):
    def __init__(self, width=4, channels=3, levels=4, norm_first=False):
        super().__init__()
        widths = [width * 2**i for i in range(levels)]
        layers = []
        for i, (a, b) in enumerate(zip([channels, *widths], widths)):
            norm = [nn.BatchNorm2d(b)] if i or norm_first else []
            layers += [nn.Conv2d(a, b, 4, 2, 1, bias=False), *norm, nn.LeakyReLU(0.2)]
        self.main = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, bias=False), nn.Sigmoid())

    def forward(self, x):
        return self.main(x)


def converted(file, tmp_path, **options):
    out = run(Convert(file, tmp_path / "model", **options))
    return GANPipeline.from_pretrained(out, discriminator=bool(options.get("discriminator")))


def saved(value, tmp_path, name="netG.pth"):
    torch.save(value, tmp_path / name)
    return tmp_path / name


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"name": "model", "channels": 1, "width": 6},
        {"levels": 2, "latent": 7},
        {"levels": 5, "width": 2, "bias": True},
        {"norm": False, "bias": True},
        {"norm": False},
    ],
)
def test_the_tutorials_own_network_gives_the_same_pixels(arguments, tmp_path):
    network = wild(Tutorial(**arguments))
    pipe = converted(saved(network.state_dict(), tmp_path), tmp_path)
    z = torch.randn(5, arguments.get("latent", 10))
    with torch.no_grad():
        theirs, mine = network(z), pipe.generator(z)
    assert theirs.std() > 0.05
    torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=0)


@pytest.mark.parametrize("norm_first", [False, True])
def test_the_discriminator_comes_along(norm_first, tmp_path):
    judge = wild(Judge(norm_first=norm_first))
    pipe = converted(
        saved(Tutorial().state_dict(), tmp_path),
        tmp_path,
        discriminator=saved(judge.state_dict(), tmp_path, "netD.pth"),
    )
    images = torch.rand(4, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        assert torch.allclose(pipe.discriminator(images).sigmoid(), judge(images).flatten(), atol=1e-6)


def wrap(kind, weights, tmp_path):
    file = tmp_path / "netG.pth"
    if kind == "numbered":  # conv1, bn1, conv2, ...: by the alphabet bn comes before conv, and 10 before 2
        convolutions = [key for key, value in weights.items() if value.ndim == 4]
        found, number = {}, 0
        for key, value in weights.items():
            number += key in convolutions
            layer = f"{'conv' if key in convolutions else 'bn'}{number}"
            found[f"module.{layer}.{key.rpartition('.')[2]}"] = value.contiguous()
        save_file(found, tmp_path / "netG.safetensors")
        return tmp_path / "netG.safetensors"
    if kind == "safetensors":
        file = tmp_path / "netG.safetensors"
        save_file({f"module.{key}": value.contiguous() for key, value in weights.items()}, file)
        return file
    wraps = {
        "parallel": OrderedDict((f"module.{key}", value) for key, value in weights.items()),
        "checkpoint": {"epoch": 3, "state": {"netG": weights}, "loss": [0.1], "best": torch.tensor(1.0)},
        "old": {key: value for key, value in weights.items() if "num_batches" not in key},
        "nested": {key.replace("main.", "gen.3."): value for key, value in weights.items()},
    }
    return saved(wraps[kind], tmp_path)


@pytest.mark.parametrize("kind", ["parallel", "checkpoint", "old", "nested", "safetensors", "numbered"])
def test_wrappings_and_names_do_not_matter(kind, tmp_path):
    network = wild(Tutorial(levels=5, width=2))  # main.10 and more: names don't sort as layers do
    pipe = converted(wrap(kind, network.state_dict(), tmp_path), tmp_path)
    z = torch.randn(2, 10)
    with torch.no_grad():
        torch.testing.assert_close(pipe.generator(z), network(z), atol=1e-6, rtol=0)


def test_two_networks_in_a_file_need_a_key(tmp_path):
    file = saved({"netG": Tutorial().state_dict(), "netD": Judge().state_dict()}, tmp_path)
    with pytest.raises(UserError, match="several state dicts; say which with --key or --discriminator-key: netG, netD"):
        converted(file, tmp_path)
    pipe = converted(file, tmp_path, key="netG", discriminator=file, discriminator_key="netD")
    assert pipe.discriminator is not None
    with pytest.raises(UserError, match="no state dict 'G' there; it has netG, netD"):
        read_weights(file, "G")


def test_the_card_is_honest_and_says_what_is_still_to_fill(tmp_path):
    file = saved(Tutorial().state_dict(), tmp_path)
    converted(file, tmp_path)
    card = (tmp_path / "model" / "README.md").read_text()
    assert "Trained elsewhere, by a recipe that isn't known here" in card and "netG.pth" in card and "sha256" in card
    assert "images shown" not in card and str(tmp_path) not in card
    recipe = Recipe.load(tmp_path / "model" / "recipe.json").check()
    assert (recipe.resolution, recipe.init, recipe.generator["init"]) == (64, "", "dcgan")  # no model to begin from
    gaps = " ".join(unfilled(tmp_path / "model"))
    assert all(word in gaps for word in ("publish --license", "publish --limits", "metrics")) and "curves" not in gaps
    said = {"license": "mit", "data_citation": "d", "data_terms": "t", "limits": "l", "bias": "b"}
    with pytest.raises(UserError, match="is already there"):
        run(Convert(file, tmp_path / "model", **said))
    gaps = unfilled(run(Convert(file, tmp_path / "model", **said, force=True)))
    assert len(gaps) == 1 and gaps[0].startswith("metrics")
    card = (tmp_path / "model" / "README.md").read_text()
    assert "## Limits\n\nl\n" in card and "Activations, paddings and the noise can't be seen in weights" in card


class Bomb:
    def __reduce__(self):
        return (print, ("this must never run",))


def stored(path, compression):
    """A zip file that says it is torch.save's."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("netG/data.pkl", pickle.dumps({"w": Bomb()}, protocol=2))
        archive.writestr("netG/version", "3\n")
    return path


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda here: saved(Tutorial(), here), "holds more than weights .it asks for .*Tutorial"),
        (lambda here: saved({"w": Bomb()}, here), "holds more than weights"),
        (lambda here: stored(here / "x.pth", zipfile.ZIP_STORED), "holds more than weights"),
        (lambda here: stored(here / "x.pth", zipfile.ZIP_DEFLATED), "compressed, as torch.save never does"),
        (lambda here: legacy(here), "older files need a reader that runs code"),
        (lambda here: script(here), "a TorchScript program"),
        (lambda here: cut(here), "damaged or cut short"),
        (lambda here: here / "missing.pth", "can't be read"),
        (lambda here: saved([1, 2], here), "holds no state dict"),
        (lambda here: saved({"a.weight": torch.zeros(1).expand(10**5, 10**5, 1, 1)}, here), "10,000,000,000 numbers"),
        (lambda here: saved({"a.weight": torch.full((4, 4, 4, 4), torch.nan)}, here), "a.weight has NaN"),
    ],
)
def test_nothing_but_plain_weights_is_read(make, words, tmp_path, capsys):
    with pytest.raises(UserError, match=words) as refused:
        converted(make(tmp_path), tmp_path)
    assert "\n" not in str(refused.value) and "never run" not in capsys.readouterr().out
    assert not (tmp_path / "model").exists()


def legacy(here):
    torch.save(Tutorial().state_dict(), here / "old.pth", _use_new_zipfile_serialization=False)
    return here / "old.pth"


def script(here):
    torch.jit.script(nn.Sequential(nn.ConvTranspose2d(1, 1, 4))).save(here / "script.pth")
    return here / "script.pth"


def cut(here):
    content = io.BytesIO()
    torch.save(Tutorial().state_dict(), content)
    (here / "cut.pth").write_bytes(content.getvalue()[:-200])
    return here / "cut.pth"


def changed(**changes):
    """A whole state dict but for some tensors; None takes one away."""
    weights = {**Tutorial().state_dict(), **changes}
    return {name: value for name, value in weights.items() if value is not None}


@pytest.mark.parametrize(
    "weights, words",
    [
        (changed(**{"main.1.running_mean": None}), "main.1.weight belongs to no layer"),
        (changed(**{"main.4.bias": torch.zeros(3)}), "behind main.3 has 3 numbers for 16 channels"),
        (changed(**{"embed.weight": torch.zeros(10, 8)}), "embed.weight belongs to no layer"),
        (changed(**{"main.3.weight_u": torch.zeros(3)}), "main.3.weight_u belongs to no layer"),
        (changed(**{"main.6.weight": torch.zeros(16, 9, 4, 4)}), "main.9.weight takes 8 channels, but main.6 gives 9"),
        (changed(**{"main.0.weight": torch.zeros(10, 32, 3, 3)}), "main.0.weight has kernel .3, 3."),
        (changed(**{"main.12.weight": torch.zeros(4, 3, 1, 1)}), "main.12.weight has kernel .1, 1."),
        (changed(**{"main.12.weight": torch.zeros(4, 2, 4, 4)}), "1 or 3 channels, got 2"),
        (Tutorial(levels=8, width=1).state_dict(), "power-of-two resolution from 16 to 256, got 1024"),
        ({**Tutorial(levels=1).state_dict()}, "too few for a DCGAN"),
        (Judge().state_dict(), "main.2.weight takes 8 channels, but main.0 gives 3"),
    ],
)
def test_what_does_not_fit_is_refused_by_the_name_of_its_tensor(weights, words, tmp_path):
    with pytest.raises(UserError, match=words) as refused:
        converted(saved(weights, tmp_path), tmp_path)
    assert "\n" not in str(refused.value)
