"""Laws of the squares trained on: they lie in the picture, on their grid, and where they are said to lie."""

import numpy as np

from posedreamer.training.nano_crops import HEAD_FROM, Crops, cut, draw_crops

SIZE, SIDE, GRID = 64, 24, 4


def body_maps(count=50):
    """A body of one block each; its upper third is the head."""
    rng, maps = np.random.default_rng(0), np.zeros((count, SIZE, SIZE, 3), np.uint8)
    corners = rng.integers(0, SIZE - 12, (count, 2))
    for one, (y, x) in zip(maps, corners, strict=True):
        one[y : y + 12, x : x + 6] = (50, 100, 50)
        one[y : y + 4, x : x + 6, 1] = 255
    return maps, corners


def drawn(maps, head_share, body_share):
    rows = np.arange(len(maps))
    return draw_crops(maps, rows, SIDE, GRID, head_share, body_share, np.random.default_rng(1))


def test_squares_lie_on_the_grid_inside_the_picture():
    maps, _ = body_maps()
    for shares in ((0.0, 0.0), (0.5, 0.5), (1.0, 0.0)):
        crops = drawn(maps, *shares)
        for corner in (crops.top, crops.left):
            assert (corner % GRID == 0).all() and corner.min() >= 0 and corner.max() <= SIZE - SIDE


def test_a_share_shows_heads_another_the_body_the_rest_anything():
    maps, _ = body_maps()
    rows = np.arange(len(maps))
    shown = {shares: cut(maps, rows, drawn(maps, *shares)) for shares in ((1.0, 0.0), (0.0, 1.0), (0.0, 0.0))}
    has_head = {shares: (crops[..., 1] >= 255 * HEAD_FROM).any((1, 2)) for shares, crops in shown.items()}
    has_body = {shares: crops.any((1, 2, 3)) for shares, crops in shown.items()}
    assert has_head[1.0, 0.0].all() and has_body[0.0, 1.0].all()
    assert not has_head[0.0, 1.0].all() and has_body[0.0, 0.0].mean() < 0.7


def test_pictures_without_a_body_are_cut_anywhere():
    crops = drawn(np.zeros((40, SIZE, SIZE, 3), np.uint8), 0.5, 0.5)
    assert len(np.unique(crops.top)) > 3


def test_a_cut_is_that_part_of_the_picture():
    images = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3)).astype(np.uint8)
    crops = Crops(np.array([4, 8]), np.array([0, 40]), SIDE)
    first, second = cut(images, np.array([2, 0]), crops)
    assert np.array_equal(first, images[2, 4:28, :24]) and np.array_equal(second, images[0, 8:32, 40:])
    assert crops.of(slice(1, 2)).left.tolist() == [40]
