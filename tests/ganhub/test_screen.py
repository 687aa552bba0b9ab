"""A screen: which latents are drawn again, and what that leaves as it was."""

import dataclasses

import pytest
import torch
from safetensors.torch import load_file

from ganhub import AutoGenerator, GANPipeline, UserError
from ganhub.images import grid
from ganhub.latents import MAX_DRAWS, latents_for, sample, truncate
from ganhub.layout import weights_file
from ganhub.models import resnet
from ganhub.models.screen import Screen, pooled
from ganhub.publish import add_variant
from training.presets import PRESETS
from training.runlog import sample_sheet

SMALL = {"resolution": 16, "channels": 1, "width": 4, "max_width": 8, "latent_dim": 8}
SEEDS = range(100, 300)


def screened(num_classes: int = 0, **changes) -> resnet.Generator:
    """A generator whose screen doubts about half of the latents, others for each class."""
    torch.manual_seed(0)
    generator = resnet.Generator(**SMALL, num_classes=num_classes, screen=2, **changes).eval()
    for block in generator.blocks:
        for norm in block.norms:
            if num_classes:
                norm.scale.data.normal_()
                norm.shift.data.normal_()
    screen = generator.screening
    screen.weight.normal_()
    z = sample(range(500), 8)
    for label in range(max(num_classes, 1)):
        doubts = generator.doubt(z, torch.full((500,), label) if num_classes else None)
        screen.offset[label] -= doubts.median()
    return generator


def test_a_map_is_pooled_to_mean_deviation_and_maximum():
    maps = torch.randn(3, 5, 4, 4)
    expected = [maps.flatten(2).mean(2), maps.flatten(2).std(2), maps.flatten(2).max(2).values]
    torch.testing.assert_close(pooled(maps), torch.cat(expected, 1))


@pytest.mark.parametrize("num_classes", [0, 3])
def test_a_new_screen_doubts_nothing(num_classes):
    generator = resnet.Generator(**SMALL, num_classes=num_classes, screen=1).eval()
    labels = [0, 1, 2] * 4 if num_classes else None
    assert torch.equal(latents_for(generator, range(12), labels), sample(range(12), 8))
    assert not list(generator.screening.parameters())  # so it isn't trained


def test_without_a_screen_there_are_no_doubts():
    generator = resnet.Generator(**SMALL).eval()
    assert generator.doubt(sample([1], 8)) is None
    assert torch.equal(latents_for(generator, [5, 3]), sample([5, 3], 8))


@pytest.mark.parametrize("mapping", [0, 2])
@pytest.mark.parametrize("num_classes", [0, 3])
def test_each_seed_draws_from_its_own_source_until_there_is_no_doubt(num_classes, mapping):
    generator = screened(num_classes, mapping=mapping)
    labels = [i % 3 for i in SEEDS] if num_classes else None
    z = latents_for(generator, SEEDS, labels, batch_size=7)
    classes = torch.tensor(labels) if num_classes else None
    first = sample(SEEDS, 8)
    doubted = generator.doubt(first, classes) > 0
    assert 60 < doubted.sum() < 140
    assert (generator.doubt(z, classes) <= 0).all()
    assert torch.equal(z[~doubted], first[~doubted])  # those are what they were
    for i in doubted.nonzero()[:5, 0].tolist():
        source = torch.Generator().manual_seed(SEEDS[i])
        drawn = torch.stack([torch.randn(8, generator=source) for _ in range(MAX_DRAWS)])
        passing = generator.doubt(drawn, None if classes is None else classes[i].expand(len(drawn))) <= 0
        assert torch.equal(z[i], drawn[passing][0])


def test_a_row_depends_on_its_seed_and_its_label_alone():
    generator = screened(3)
    together = latents_for(generator, SEEDS, [i % 3 for i in SEEDS])
    for i in (0, 7, 150):
        assert torch.equal(latents_for(generator, [SEEDS[i]], [SEEDS[i] % 3])[0], together[i])
    others = latents_for(generator, SEEDS, [(i + 1) % 3 for i in SEEDS])
    assert 0 < (others != together).any(1).sum() < len(SEEDS)


@pytest.mark.parametrize("num_classes", [0, 3])
def test_a_seed_means_the_same_latent_whatever_torch_takes_by_default(num_classes):
    generator = screened(num_classes)
    labels = [i % 3 for i in SEEDS] if num_classes else None
    expected = latents_for(generator, SEEDS, labels), sample(SEEDS, 8), sample([], 8)
    torch.set_default_dtype(torch.float64)
    try:
        doubles = latents_for(generator, SEEDS, labels), sample(SEEDS, 8), sample([], 8)
    finally:
        torch.set_default_dtype(torch.float32)
    with torch.device("meta"):
        elsewhere = latents_for(generator, SEEDS, labels), sample(SEEDS, 8), sample([], 8)
        unscreened = latents_for(resnet.Generator(**SMALL).to_empty(device="cpu").eval(), SEEDS)
    for z, same, there in zip(expected, doubles, elsewhere, strict=True):
        assert z.dtype == same.dtype == there.dtype == torch.float32
        assert torch.equal(z, same) and torch.equal(z, there)
    assert torch.equal(unscreened, expected[1])


def test_a_screen_that_turns_down_everything_ends():
    generator = screened()
    generator.screening.offset += 1e6
    source = torch.Generator().manual_seed(4)
    last = [torch.randn(8, generator=source) for _ in range(MAX_DRAWS)][-1]
    assert torch.equal(latents_for(generator, [4])[0], last)


def test_a_seed_has_one_latent_at_every_truncation():
    generator = screened()
    pipe = GANPipeline(generator)
    for truncation in (1.0, 0.5):
        expected = generator(truncate(latents_for(generator, range(20)), truncation))
        images = pipe(20, truncation=truncation, output_type="pt", batch_size=3).images
        torch.testing.assert_close(images, (expected / 2 + 0.5).clamp(0, 1), atol=0.5 / 255 + 1e-5, rtol=0)  # 8 bits
    plain = pipe(20, output_type="pt", screen=False).images
    given = pipe(latents=sample(range(20), 8), output_type="pt").images
    assert torch.equal(plain, given)
    assert not torch.equal(plain, pipe(20, output_type="pt").images)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_screen_is_saved_and_loaded(dtype, tmp_path):
    pipe = GANPipeline(screened(3).to(dtype), class_names=["a", "b", "c"])
    pipe.save_pretrained(tmp_path)
    loaded = GANPipeline.from_pretrained(tmp_path)
    assert torch.equal(loaded.generator.screening.weight, pipe.generator.screening.weight.float())
    assert AutoGenerator.from_pretrained(tmp_path).screening.offset.shape == (3,)
    if dtype == torch.float32:
        assert torch.equal(loaded(30, output_type="pt").images, pipe(30, output_type="pt").images)


def test_half_precision_leaves_a_screen_as_it_is(tmp_path):
    GANPipeline(screened()).save_pretrained(tmp_path)
    add_variant(tmp_path, "fp16")
    plain, half = (load_file(tmp_path / "generator" / weights_file(variant)) for variant in (None, "fp16"))
    exact = {key for key in plain if key.startswith("screening.")}
    assert exact == {"screening.weight", "screening.offset"}
    assert all(torch.equal(half[key], plain[key]) and half[key].dtype == torch.float32 for key in exact)
    assert {half[key].dtype for key in plain.keys() - exact if plain[key].is_floating_point()} == {torch.float16}


def test_doubts_read_the_maps_after_the_block_that_the_config_names():
    torch.manual_seed(0)
    generator = resnet.Generator(**SMALL, screen=1).eval()
    assert isinstance(generator.screening, Screen) and len(generator.screening.weight) == 3 * 8
    generator.screening.weight.normal_()
    z = sample(range(4), 8)
    maps = generator.blocks[0](generator.stem(z).unflatten(1, (-1, 4, 4)), None)
    torch.testing.assert_close(generator.doubt(z), pooled(maps) @ generator.screening.weight)


@pytest.mark.parametrize("screen", [1, "no", None])
def test_it_is_on_or_off(screen):
    with pytest.raises(UserError, match="screen must be True or False"):
        GANPipeline(screened())(1, screen=screen)


def test_latents_can_be_worked_with():
    z = latents_for(screened(3), range(4), [0, 1, 2, 0])
    assert not z.is_inference() and z.requires_grad_().requires_grad
    assert latents_for(screened(3), [], []).shape == (0, 8)


def test_a_growing_generator_is_judged_alike_at_every_level():
    generator = screened(grow_from=4)
    z = sample(range(8), 8)
    full = generator.doubt(z)
    generator.grow_to(0)
    assert torch.equal(generator.doubt(z), full)


def test_no_recipe_asks_for_a_screen():
    recipe = dataclasses.replace(PRESETS["digits"], generator={"screen": 2})
    with pytest.raises(UserError, match="takes no screen; `python -m training screen` gives one to a finished model"):
        recipe.build(10)
    with pytest.raises(UserError, match="takes no screen; it takes"):
        dataclasses.replace(PRESETS["digits"], discriminator={"screen": 2}).build(10)


def test_the_sheet_shows_what_the_pipeline_draws():
    pipe = GANPipeline(screened())
    sheet = sample_sheet(pipe.generator)
    assert sheet.tobytes() == grid(list(pipe(64).images), 8).tobytes()
    assert sheet.tobytes() != grid(list(pipe(64, screen=False).images), 8).tobytes()


@pytest.mark.parametrize("screen", [-1, 3])
def test_a_screen_needs_a_block(screen):
    with pytest.raises(ValueError, match="resnet at 16x16 needs a screen of 0 to 2"):
        resnet.Generator(**SMALL, screen=screen)
