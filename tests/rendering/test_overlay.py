"""Overlays show the label where it is, and leave everything else of the picture as it was."""

import numpy as np
import pytest

from posedreamer.bodies.body import BodyModel
from posedreamer.geometry.skeletons import COCO_KEYPOINTS
from posedreamer.rendering.overlay import LEFT, RIGHT, draw_mesh, draw_skeleton

GREY = np.full((256, 256, 3), 90, dtype=np.uint8)


def test_skeleton_marks_joints_in_the_color_of_their_side(draw) -> None:
    coco = draw("arms_down").coco_keypoints
    before = GREY.copy()
    image = draw_skeleton(GREY, coco)
    np.testing.assert_array_equal(GREY, before)
    for name, color in (("left_wrist", LEFT), ("right_knee", RIGHT), ("right_ankle", RIGHT)):
        x, y = coco[COCO_KEYPOINTS.index(name), :2].astype(int)
        np.testing.assert_array_equal(image[y, x], color)
    assert (image != GREY).any(axis=-1).mean() < 0.1


def test_keypoints_outside_are_not_drawn_and_hidden_ones_are_rings(draw) -> None:
    coco = draw("arms_down").coco_keypoints.copy()
    coco[:, 2] = 0
    np.testing.assert_array_equal(draw_skeleton(GREY, coco), GREY)
    coco[9, :2], coco[9, 2] = (100.5, 60.5), 1
    image = draw_skeleton(np.zeros((256, 256, 3), np.uint8), coco)
    assert not image[60, 100].any() and image[55:66, 95:106].any()


def test_mesh_covers_the_mask_and_nothing_else(draw, body: BodyModel) -> None:
    drawn = draw("squat", 0.5)
    assert (draw_mesh(GREY, body, drawn, 0.0) == GREY).all()
    changed = (draw_mesh(GREY, body, drawn, 1.0) != GREY).any(axis=-1)
    assert changed[drawn.mask].mean() > 0.98
    grown = drawn.mask.copy()
    for axis in (0, 1):
        for shift in (-1, 1):
            grown |= np.roll(grown, shift, axis)
    assert not changed[~grown].any()  # one pixel around the silhouette is blended


def test_mesh_refuses_another_size_and_bad_opacity(draw, body: BodyModel) -> None:
    drawn = draw("t_pose")
    with pytest.raises(ValueError, match="the picture is"):
        draw_mesh(GREY[:100], body, drawn)
    with pytest.raises(ValueError, match="opacity"):
        draw_mesh(GREY, body, drawn, 1.5)
