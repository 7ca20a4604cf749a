"""Laws of the squares trained on: they lie in the picture, on their grid, and where they are said to lie."""

from dataclasses import replace

import numpy as np

from posedreamer.bodies.catalog import load_body
from posedreamer.bodies.posing import rest_parameters
from posedreamer.geometry.cameras import make_K
from posedreamer.geometry.rotations import compose_rotvec, mirror_rotvec
from posedreamer.geometry.skeletons import BODY_JOINTS, mirror_name
from posedreamer.rendering.conditions import draw_condition
from posedreamer.rendering.label import draw_label
from posedreamer.training.nano_crops import HEAD_FROM, Crops, cut, draw_crops, mirrored

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


def test_a_mirrored_map_is_that_of_the_mirrored_body():
    """Drawn twice: the body's map mirrored, and the map of the body in the mirrored pose before the same camera."""
    body, names = load_body(), BODY_JOINTS
    rng = np.random.default_rng(3)
    pose = rng.normal(0, 0.3, (21, 3)).astype(np.float32)
    swap = np.array([names.index(mirror_name(name)) for name in names])[1:] - 1
    facing = np.array([np.pi, 0.0, 0.0], np.float32)
    shown = []
    for body_pose, turn in ((pose, 0.4), (mirror_rotvec(pose[swap]).astype(np.float32), -0.4)):
        orient = compose_rotvec(np.array([0.0, turn, 0.0]), facing).astype(np.float32)
        parameters = replace(
            rest_parameters(), body_pose=body_pose, global_orient=orient, transl=np.float32([0, 0.3, 3.5])
        )
        drawn = draw_label(body, parameters, make_K(200.0, 128, 128), 128, 128)
        shown.append(draw_condition("xyz", body, drawn))
    picture = np.zeros((1, 128, 128, 3), np.uint8)
    _, found = mirrored(picture, shown[0][None])
    apart = np.abs(found[0].astype(int) - shown[1]).max(axis=2)
    on_body = shown[1].any(axis=2)
    assert on_body.mean() > 0.05 and (apart[on_body] <= 3).mean() > 0.97
    assert np.array_equal(mirrored(picture, found)[1], shown[0][None])
