"""The switches of Batches: order and range."""

import torch

from training.data import Batches, ImageData, to_float


def numbered(count):
    images = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2).clone()
    return ImageData(images, torch.arange(count), (), "")


def test_without_shuffling_the_order_is_the_data_sets_own_over_and_over():
    batches = Batches(numbered(10), 4, seed=5, shuffle=False)
    assert [batches.at(position)[1].tolist() for position in (0, 4, 8, 12, 107)] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 0, 1],
        [2, 3, 4, 5],
        [7, 8, 9, 0],
    ]


def test_what_is_drawn_from_changes_with_the_run():
    chosen = [(0.0, torch.arange(10)), (0.012, torch.tensor([1, 3, 8])), (0.02, torch.arange(10))]
    batches = Batches(numbered(10), 4, seed=5, shuffle=False, chosen=chosen)
    expected = {0: [0, 1, 2, 3], 8: [8, 9, 0, 1], 12: [1, 3, 8, 1], 16: [3, 8, 1, 3], 20: [0, 1, 2, 3]}
    assert {position: batches.at(position, position / 1000)[1].tolist() for position in expected} == expected
    assert batches.at(12, 0.008)[1].tolist() == [2, 3, 4, 5]  # another process, in an iteration that began before
    again = Batches(numbered(10), 3, seed=5, chosen=chosen)
    orders = [again.indices(position, 3, 0.012).tolist() for position in (12, 15, 18, 12)]
    assert orders[0] == orders[3] and all(sorted(order) == [1, 3, 8] for order in orders)
    assert len({tuple(order) for order in orders}) > 1


def test_by_default_pixels_are_as_they_always_were():
    images = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_float(images), images.float().div_(127.5).sub_(1))
    assert torch.equal(Batches(numbered(10), 10, seed=1).at(0)[0].unique(), to_float(images[:10]))


def test_a_pixel_range_moves_black_and_white_and_leaves_points():
    black_and_white = torch.tensor([0, 255, 51], dtype=torch.uint8)
    assert torch.allclose(to_float(black_and_white, (0, 1)), torch.tensor([0, 1, 0.2]))
    assert torch.allclose(to_float(black_and_white, (-0.5, 2)), torch.tensor([-0.5, 2, 0]))
    data = ImageData(black_and_white[:, None, None, None], None, (), "")
    assert Batches(data, 3, seed=0, shuffle=False, pixel_range=(0, 1)).at(0)[0].flatten()[:2].tolist() == [0, 1]
    assert to_float(torch.tensor([0.25, -0.75]), (0, 1)).tolist() == [0.25, -0.75]
