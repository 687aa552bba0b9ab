"""One seed is one picture, and bad arguments are one line."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ganhub import GANPipeline, UserError
from ganhub.latents import sample
from tests.conftest import tiny_pipeline

PIPE = tiny_pipeline()
RGB = tiny_pipeline(num_classes=0, channels=3)


def alone(seed, label, truncation):
    return np.asarray(PIPE(1, labels=label, seed=seed, truncation=truncation).images[0], dtype=int)


@settings(max_examples=25, deadline=None)
@given(
    pictures=st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 2)), min_size=1, max_size=40),
    batch_size=st.integers(1, 50),
    truncation=st.sampled_from([0.0, 0.5, 1.0, 2.0]),
)
def test_a_seed_is_a_picture_in_any_company(pictures, batch_size, truncation):
    seeds, labels = map(list, zip(*pictures))
    together = PIPE(labels=labels, seed=seeds, truncation=truncation, batch_size=batch_size).images
    for picture, seed, label in zip(together, seeds, labels, strict=True):
        difference = np.abs(np.asarray(picture, dtype=int) - alone(seed, label, truncation))
        assert difference.max() <= 1 and (difference > 0).sum() <= 2  # levels of 255, of 256 pixels


def test_seeds_and_labels_make_different_pictures():
    pictures = PIPE(30, output_type="pt").images
    distances = torch.cdist(pictures.flatten(1), pictures.flatten(1)) + torch.eye(30)
    assert distances.min() > 0.1
    zero, one = (PIPE(1, labels=label, output_type="pt").images for label in (0, 1))
    assert (zero - one).abs().max() > 0.1


def test_tensors_are_like_any_others():
    images, scale = PIPE(2, output_type="pt").images, torch.ones(1, requires_grad=True)
    (images * scale).sum().backward()
    assert scale.grad == images.sum() and not images.requires_grad
    images.mul_(2)


def test_an_int_seed_counts_up():
    whole = PIPE(6, labels=1, seed=40, output_type="np")
    assert whole.seeds == [40, 41, 42, 43, 44, 45]
    part = PIPE(2, labels=1, seed=[44, 41], output_type="np").images
    assert np.abs(part - whole.images[[4, 1]]).max() <= 1 / 255


def test_labels_left_out_cycle_through_the_classes():
    assert PIPE(7).labels == [0, 1, 2, 0, 1, 2, 0]
    assert RGB(2).labels is None


def test_truncation_zero_is_one_picture_and_two_differs_from_one():
    images = PIPE(3, labels=0, truncation=0.0, output_type="pt").images
    assert torch.equal(images[0], images[1]) and torch.equal(images[0], images[2])
    ones, twos = (PIPE(1, labels=0, truncation=t, output_type="pt").images for t in (1.0, 2.0))
    assert not torch.equal(ones, twos)


def test_output_types_agree():
    for pipe, mode, channels in ((PIPE, "L", 1), (RGB, "RGB", 3)):
        pil, pt, array = (pipe(2, output_type=kind).images for kind in ("pil", "pt", "np"))
        assert [picture.mode for picture in pil] == [mode] * 2
        assert pt.shape == (2, channels, 16, 16) and pt.dtype == torch.float32 and pt.min() >= 0 and pt.max() <= 1
        assert np.array_equal(array, pt.permute(0, 2, 3, 1).numpy())
        pixels = np.stack([np.asarray(picture).reshape(16, 16, channels) for picture in pil])
        assert np.array_equal(pixels, np.rint(array * 255))


def test_seeds_and_labels_may_come_as_arrays_tensors_or_one_by_one():
    wanted = PIPE(labels=[2, 0], seed=[5, 9])
    for listed in (np.array, torch.tensor, tuple, iter):
        given_ = PIPE(2, labels=listed([2, 0]), seed=listed([5, 9]))
        assert (given_.labels, given_.seeds) == ([2, 0], [5, 9])
        assert all(a.tobytes() == b.tobytes() for a, b in zip(given_.images, wanted.images, strict=True))
    assert RGB(seed=iter([1, 2, 3])).seeds == [1, 2, 3]
    assert RGB(2, seed=torch.tensor(3)).seeds == [3, 4]


def test_given_latents_are_used():
    drawn, given_ = PIPE(3, labels=0, seed=5), PIPE(latents=sample([5, 6, 7], 8), labels=0)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(drawn.images, given_.images, strict=True))
    assert given_.seeds is None


def test_torchs_default_device_changes_nothing():
    drawn, given_ = PIPE(3, labels=[0, 1, 2], seed=5), PIPE(latents=[[0.5] * 8, [1.0] * 8], labels=1)
    with torch.device("meta"):
        elsewhere = PIPE(3, labels=[0, 1, 2], seed=5), PIPE(latents=[[0.5] * 8, [1.0] * 8], labels=1)
    for here, there in zip((drawn, given_), elsewhere, strict=True):
        assert [image.tobytes() for image in here.images] == [image.tobytes() for image in there.images]


def test_truncation_may_be_any_one_number():
    wanted = PIPE(2, labels=0, truncation=0.5, output_type="pt").images
    for number in (np.float32(0.5), np.array(0.5), torch.tensor(0.5), Fraction(1, 2)):
        assert torch.equal(PIPE(2, labels=0, truncation=number, output_type="pt").images, wanted)


def test_a_class_goes_by_its_name_too():
    for named, labels in (("two", [2] * 3), (["two", 0, "1"], [2, 0, 1]), (("one",) * 3, [1] * 3), ("2", [2] * 3)):
        by_name, by_id = PIPE(3, labels=named), PIPE(3, labels=labels)
        assert by_name.labels == by_id.labels == labels
        assert all(a.tobytes() == b.tobytes() for a, b in zip(by_name.images, by_id.images, strict=True))
    unnamed = GANPipeline(PIPE.generator)
    assert unnamed(labels=["2", "0"]).labels == [2, 0]
    with pytest.raises(UserError, match="a label must be a class, 0 to 2; got 'two'"):
        unnamed(labels=["two"])
    named = GANPipeline(PIPE.generator, class_names=["0", "one", "2"])  # a name may be another class's number
    assert named(labels=["one", "2", 1]).labels == [1, 2, 1]


def test_the_pipeline_puts_its_networks_into_eval_mode():
    pipe = tiny_pipeline()
    GANPipeline(pipe.generator.train(), pipe.discriminator.train())
    assert not pipe.generator.training and not pipe.discriminator.training


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"num_images": 0}, "num_images must be a whole number from 1 to 4096, got 0"),
        ({"num_images": 4097}, "from 1 to 4096"),
        ({"num_images": 2.5}, "from 1 to 4096"),
        ({"num_images": True}, "from 1 to 4096"),
        ({"seed": []}, "from 1 to 4096, got 0"),
        ({"labels": 3}, "a label must be a class, 0 to 2 or zero, one, two; got 3"),
        ({"labels": -1}, "a label must be .*; got -1"),
        ({"labels": [0, 7], "num_images": 2}, "a label must be .*; got 7"),
        ({"labels": ["one", "7"]}, "a label must be .*; got '7'"),
        ({"labels": True}, "labels must be a class or a list of them, 0 to 2 or zero, one, two; got True"),
        ({"labels": "-1"}, "a label must be .*; got '-1'"),
        ({"labels": "onetwo"}, "a label must be .*; got 'onetwo'"),
        ({"labels": [1, 1.5]}, "a label must be .*; got 1.5"),
        ({"labels": [0, 1], "num_images": 3}, "labels lists 2 for 3 images"),
        ({"seed": [1, 2, 3], "num_images": 2}, "seed lists 3 for 2 images"),
        ({"seed": -1}, "a seed must be a whole number from 0"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"seed": [1, None]}, "got None"),
        ({"seed": iter([1]), "num_images": 2}, "seed lists 1 for 2 images"),
        ({"labels": torch.tensor([0.0, 1.0])}, "a label must be .*; got 0.0"),
        ({"latents": torch.tensor(1.0)}, "latents must have shape"),
        ({"seed": 2**63}, "a seed must be"),
        ({"truncation": 2.1}, "truncation must be between 0 and 2, got 2.1"),
        ({"truncation": -0.1}, "truncation must be between"),
        ({"truncation": float("nan")}, "truncation must be between"),
        ({"truncation": "1"}, "truncation must be between"),
        ({"truncation": np.array([0.5])}, "truncation must be between"),
        ({"latents": torch.zeros(2, 9)}, r"latents must have shape \(num_images, 8\), got \(2, 9\)"),
        ({"latents": torch.zeros(2, 8), "num_images": 3}, "latents lists 2 for 3 images"),
        ({"latents": torch.zeros(8), "num_images": 1}, r"latents must have shape \(num_images, 8\), got \(8,\)"),
        ({"latents": torch.full((2, 8), float("inf"))}, "latents must be finite"),
        ({"latents": "z", "num_images": 1}, "latents must be a tensor"),
        ({"output_type": "jpg"}, "output_type must be"),
        ({"batch_size": 0}, "batch_size must be"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(arguments, words):
    with pytest.raises(UserError, match=words) as caught:
        PIPE(**arguments)
    assert "\n" not in str(caught.value)


def test_a_label_for_an_unconditional_model_is_refused():
    with pytest.raises(UserError, match="unconditional; leave them out"):
        RGB(2, labels=1)
