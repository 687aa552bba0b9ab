"""Every measure against an answer that is known beforehand."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ganhub import UserError
from training import metrics, pixel_measures


def gaussian(count: int, dim: int, seed: int = 0, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed)) + shift


def with_moments(mean: torch.Tensor, covariance: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """Points whose sample mean and covariance are exactly these."""
    x = gaussian(200, len(mean), seed).double()
    x = x - x.mean(0)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(x.T @ x / 199), x.T, upper=False)
    return (torch.linalg.cholesky(covariance) @ white).T + mean


def clusters(count: int, seed: int, modes: int = 10) -> torch.Tensor:
    """`count` points in each of the modes, which lie far apart."""
    centres = 100 * torch.eye(modes)
    return torch.cat([centres[i] + gaussian(count, modes, seed * modes + i) for i in range(modes)])


def noise(count: int, seed: int = 0, level: float = 128, spread: float = 40, side: int = 16, channels: int = 1):
    pixels = torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(seed))
    return (pixels * spread + level).clamp(0, 255).to(torch.uint8)


# --- Frechet distance


def test_frechet_distance_of_two_gaussians():
    a = with_moments(torch.zeros(3).double(), torch.diag(torch.tensor([1.0, 4.0, 9.0]).double()))
    b = with_moments(torch.tensor([1.0, 2.0, -2.0]).double(), torch.diag(torch.tensor([4.0, 4.0, 1.0]).double()), 1)
    # |mean|^2 + sum of (sigma_a - sigma_b)^2 = 9 + 1 + 0 + 4
    assert metrics.frechet_distance(a, b) == pytest.approx(14, rel=1e-9)


def test_frechet_distance_of_covariances_that_do_not_commute():
    random = np.random.default_rng(0)
    roots = random.normal(size=(2, 5, 5))
    a, b = (root @ root.T + 0.1 * np.eye(5) for root in roots)
    expected = np.trace(a + b - 2 * scipy.linalg.sqrtm(a @ b).real)
    found = metrics.frechet_distance(
        *(with_moments(torch.zeros(5).double(), torch.from_numpy(x), i) for i, x in enumerate((a, b)))
    )
    assert found == pytest.approx(expected, rel=1e-8)


def test_frechet_distance_of_a_set_to_itself_is_nothing():
    x = gaussian(500, 20)
    assert metrics.frechet_distance(x, x) == pytest.approx(0, abs=1e-6)


def test_frechet_distance_with_fewer_pictures_than_features():
    """Singular covariances: still finite, and the shift alone."""
    x = gaussian(10, 40)
    assert metrics.frechet_distance(x, x + 0.5) == pytest.approx(10, rel=1e-4)


@settings(max_examples=20, deadline=None)
@given(scale=st.floats(0.1, 10), seed=st.integers(0, 1000))
def test_frechet_distance_scales_with_the_square_and_is_symmetric(scale, seed):
    a, b = gaussian(60, 4, seed).double(), 2 * gaussian(60, 4, seed + 1).double()
    distance = metrics.frechet_distance(a, b)
    assert metrics.frechet_distance(scale * a, scale * b) == pytest.approx(scale**2 * distance, rel=1e-6)
    assert metrics.frechet_distance(b, a) == pytest.approx(distance, rel=1e-6)


# --- kernel distance


def test_kernel_distance_of_two_gaussians():
    """(xy + 1)^3 weighs the gaps of the first three moments by 3, 3, 1; N(0,1): 0, 1, 0 and N(1,1): 1, 2, 4."""
    value, error = metrics.kernel_distance(gaussian(20_000, 1).double(), gaussian(20_000, 1, 1, shift=1).double())
    assert value == pytest.approx(3 * 1 + 3 * 1 + 1 * 16, abs=4 * error) and 0 < error < 1.5


def test_kernel_distance_is_unbiased_and_its_error_is_honest():
    found = [metrics.kernel_distance(gaussian(400, 3, 2 * i), gaussian(400, 3, 2 * i + 1)) for i in range(60)]
    values, errors = torch.tensor(found).T
    assert abs(values.mean().item()) < 4 * values.std().item() / math.sqrt(60)
    assert 0.7 < errors.square().mean().sqrt().item() / values.std().item() < 1.4


def test_kernel_distance_is_reproducible():
    a, b = gaussian(100, 4), gaussian(300, 4, 1)
    assert metrics.kernel_distance(a, b, seed=3) == metrics.kernel_distance(a, b, seed=3)
    assert metrics.kernel_distance(a, b, seed=3) != metrics.kernel_distance(a, b, seed=4)


# --- precision, recall, density, coverage


def test_identical_sets():
    x = clusters(30, 0)
    assert metrics.precision_recall(x, x) == (1, 1)
    # each point lies in the balls that hold it as a neighbour, k on average, and in its own
    assert metrics.density_coverage(x, x, k=5) == (pytest.approx(6 / 5, abs=1e-12), 1)


def test_disjoint_sets():
    a, b = gaussian(200, 5), gaussian(200, 5, 1, shift=100)
    assert metrics.precision_recall(a, b) == (0, 0)
    assert metrics.density_coverage(a, b) == (0, 0)


def test_the_same_distribution():
    a, b = gaussian(2000, 2), gaussian(2000, 2, 1)
    assert metrics.precision_recall(a, b) == (pytest.approx(0.95, abs=0.05), pytest.approx(0.95, abs=0.05))
    density, coverage = metrics.density_coverage(a, b)
    assert density == pytest.approx(1, abs=0.06)
    # k of the 2k points nearest to a point are expected to be generated; none among k + 1: about 1 - 2^-k
    assert coverage == pytest.approx(1 - 2**-5, abs=0.015)


def test_dropped_modes_keep_precision_and_lose_recall_and_coverage():
    real, fresh = clusters(100, 0), clusters(100, 1)
    dropped = fresh[:300].repeat_interleave(3, 0) + 0.3 * gaussian(900, 10, 9)  # 3 of 10 modes
    precision, recall = metrics.precision_recall(real, dropped)
    density, coverage = metrics.density_coverage(real, dropped)
    whole = metrics.precision_recall(real, fresh)
    assert precision == pytest.approx(whole[0], abs=0.1) and precision > 0.5
    assert recall <= 0.3 and recall < whole[1] / 2
    assert coverage <= 0.3 and density > 0.5


def test_too_few_pictures_are_refused():
    few = gaussian(3, 2)
    for measure in (metrics.precision_recall, metrics.density_coverage, metrics.kernel_distance):
        with pytest.raises(UserError, match="pictures"):
            measure(few, few)
    with pytest.raises(UserError, match="at least 2"):
        metrics.frechet_distance(few[:1], few)
    with pytest.raises(UserError, match="at least 2"):
        metrics.near_duplicates(few[:1], few)
    with pytest.raises(UserError, match="at least 4"):
        pixel_measures.two_sample_accuracy(noise(3), noise(3))


# --- distances


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 40), among=st.integers(3, 40), k=st.integers(1, 3), seed=st.integers(0, 99))
def test_nearest_distances_match_the_plain_computation(rows, among, k, seed):
    metrics.CHUNK, whole = 7, metrics.CHUNK
    try:
        a, b = gaussian(rows, 5, seed).double(), gaussian(among, 5, seed + 1).double()
        expected = (a[:, None] - b).square().sum(2).sqrt().sort(1).values[:, :k]
        torch.testing.assert_close(metrics.nearest_distances(a, b, k), expected)
        own = (b[:, None] - b).square().sum(2).sqrt().fill_diagonal_(torch.inf).sort(1).values[:, :2]
        torch.testing.assert_close(metrics.nearest_distances(b, b, 2, other=True), own)
    finally:
        metrics.CHUNK = whole


def test_small_distances_far_from_the_origin_are_exact():
    points = torch.tensor([[1000.0, 1000.0], [1000.25, 1000.0], [2000.0, 0.0]])
    assert metrics.nearest_distances(points, points, other=True)[:2, 0].tolist() == [0.25, 0.25]


def test_near_duplicates():
    real, fresh = gaussian(2000, 8), gaussian(2000, 8, 1)
    assert metrics.near_duplicates(real, fresh) == pytest.approx(0.01, abs=0.01)
    repeating = torch.cat([fresh[:1000], fresh[:500], fresh[:500]])  # 500 of them three times, 500 once
    assert metrics.near_duplicates(real, repeating) == pytest.approx(0.75, abs=0.02)
    assert metrics.near_duplicates(real, fresh[:1].expand(2000, -1)) == 1


def test_memorisation():
    train, held_back, fresh = (gaussian(1500, 8, seed) for seed in range(3))

    def memorisation(generated):
        return metrics.memorisation(*(metrics.nearest_distances(x, train)[:, 0] for x in (generated, held_back)))

    honest = memorisation(fresh)
    assert honest["ratio"] == pytest.approx(1, abs=0.05) and honest["too_close"] == pytest.approx(0.01, abs=0.01)
    copied = memorisation(train[:500])
    assert copied["ratio"] == 0 and copied["too_close"] == 1 and copied["generated_to_train_median"] == 0
    partly = memorisation(torch.cat([train[:150], fresh[:1350]]))
    assert partly["too_close"] == pytest.approx(0.11, abs=0.015)
    far = memorisation(fresh + 50)
    assert far["ratio"] > 10 and far["too_close"] == 0


def test_memorisation_without_held_back_pictures():
    """A training picture and all others: the same distance, statistically, as that of a held-back one."""
    train, held_back, fresh = (gaussian(1500, 8, seed) for seed in range(3))
    usual = metrics.nearest_distances(train, train, other=True)[:, 0]
    held_back, found = (metrics.nearest_distances(x, train)[:, 0] for x in (held_back, fresh))
    assert usual.median().item() == pytest.approx(held_back.median().item(), rel=0.03)
    assert metrics.memorisation(found, usual)["ratio"] == pytest.approx(1, abs=0.05)
    assert metrics.memorisation(found, torch.zeros(1500))["ratio"] is None  # most have a copy


# --- classes


def test_class_counts_and_conditional_accuracy():
    predicted, labels = torch.tensor([0, 0, 1, 2, 2, 2]), torch.tensor([0, 1, 1, 2, 2, 0])
    assert metrics.class_counts(predicted, 4) == [2, 1, 3, 0]
    share, per_class = metrics.conditional_accuracy(predicted, labels, 4)
    assert share == pytest.approx(4 / 6) and per_class == [0.5, 0.5, 1.0, None]


# --- sliced Wasserstein


def test_sliced_distance_of_a_shifted_set():
    """The mean of |<v, p>| over unit p in D dimensions is |v| Gamma(D/2) / (sqrt(pi) Gamma((D + 1)/2))."""
    x, dim = gaussian(20, 6), 6
    shift = torch.tensor([3.0, 0, 0, 4.0, 0, 0])
    expected = 5 * math.gamma(dim / 2) / math.sqrt(math.pi) / math.gamma((dim + 1) / 2)
    found = pixel_measures.sliced_distance(x, x + shift, 2048, torch.Generator().manual_seed(0))
    assert found == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(("side", "sides"), [(64, [64, 32, 16]), (32, [32, 16]), (28, [28, 14]), (20, [20]), (7, [7])])
def test_pyramid_levels_add_up(side, sides):
    images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    levels = pixel_measures.laplacian_pyramid(images)
    assert [level.shape[-1] for level in levels] == sides
    total = levels[-1]
    for level in levels[-2::-1]:
        total = pixel_measures._enlarge(total) + level
    torch.testing.assert_close(total, images)


def test_a_flat_picture_has_no_detail():
    fine, coarse = pixel_measures.laplacian_pyramid(torch.full((1, 1, 32, 32), 0.5))
    assert fine.abs().max().item() < 1e-6 and (coarse - 0.5).abs().max().item() < 1e-6


def test_sliced_wasserstein_of_pictures():
    real, again = noise(300, side=32), noise(300, 1, side=32)
    blurred = pixel_measures._blur(again.float()).to(torch.uint8)
    found = pixel_measures.sliced_wasserstein(real, again, directions=64)
    assert list(found) == [32, 16] and found == pixel_measures.sliced_wasserstein(real, again, directions=64)
    assert max(found.values()) < 35
    worse = pixel_measures.sliced_wasserstein(real, blurred, directions=64)
    assert worse[32] > 4 * found[32]


def test_sliced_wasserstein_refuses_pictures_that_do_not_fit():
    with pytest.raises(UserError, match="can't be compared"):
        pixel_measures.sliced_wasserstein(noise(4), noise(4, side=32))
    with pytest.raises(UserError, match="at least 7"):
        pixel_measures.sliced_wasserstein(noise(4, side=6), noise(4, side=6))


# --- two-sample test


def test_two_sample_accuracy():
    real = noise(400)
    same, error = pixel_measures.two_sample_accuracy(real, noise(400, 1), epochs=1)
    assert same == pytest.approx(0.5, abs=4 * error) and error == pytest.approx(0.025, abs=0.001)
    other, _ = pixel_measures.two_sample_accuracy(real, noise(400, 1, level=160), epochs=1)
    assert other > 0.97


def test_two_sample_accuracy_is_reproducible_and_leaves_the_random_state_alone(monkeypatch):
    monkeypatch.setattr(pixel_measures, "MIN_STEPS", 4)
    real, fake = noise(40), noise(40, 1, level=135)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = pixel_measures.two_sample_accuracy(real, fake, epochs=1, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert pixel_measures.two_sample_accuracy(real, fake, epochs=1, seed=1) == first
