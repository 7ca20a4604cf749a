"""Labels: their parts agree with each other, and visibility is right where the answer is known."""

from dataclasses import replace

import numpy as np
import pytest

from posedreamer.bodies.body import BodyModel
from posedreamer.bodies.posing import rest_parameters
from posedreamer.geometry.cameras import make_K, project
from posedreamer.geometry.skeletons import (
    BODY_JOINTS,
    COCO_FROM_OUTPUT,
    COCO_KEYPOINTS,
    OUTPUT_JOINTS,
    mirror_permutation,
)
from posedreamer.rendering.label import DrawnLabel, draw_label, mask_bbox
from posedreamer.rendering.rasterizer import Raster
from posedreamer.rendering.visibility import face_parts, part_map, visible_keypoints

FACING = np.array([np.pi, 0, 0], dtype=np.float32)  # upright and looking at the camera
LEFT_SIDE, BACK = np.pi / 2, np.pi


def seen(drawn: DrawnLabel, *names: str) -> list[bool]:
    return [bool(drawn.visible[OUTPUT_JOINTS.index(name)]) for name in names]


def test_parts_of_a_label_agree(draw) -> None:
    drawn = draw("squat", 0.6, size=200)
    np.testing.assert_array_equal(drawn.joints_cam, drawn.posed.joints)
    K = make_K(220.0, 200, 200)
    np.testing.assert_allclose(drawn.keypoints, project(drawn.joints_cam, K), atol=1e-4)  # float32 pixels
    np.testing.assert_array_equal(drawn.mask, drawn.raster.face_id >= 0)
    np.testing.assert_array_equal(drawn.mask, drawn.depth_mm > 0)
    assert np.abs(drawn.depth_mm / 1000.0 - drawn.raster.depth).max() <= 0.00051
    rows, columns = np.nonzero(drawn.mask)
    x, y, width, height = drawn.bbox
    assert (x, y, x + width, y + height) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    np.testing.assert_array_equal(drawn.coco_keypoints[:, :2], drawn.keypoints[COCO_FROM_OUTPUT])
    np.testing.assert_array_equal(drawn.coco_keypoints[:, 2] == 2, drawn.visible[COCO_FROM_OUTPUT])


def test_the_same_input_gives_the_same_bits(draw) -> None:
    first, second = draw("crossed", 0.4), draw("crossed", 0.4)
    for one, other in zip((*first[2:], *first.raster), (*second[2:], *second.raster), strict=True):
        assert one.tobytes() == other.tobytes()


def test_from_the_front_all_body_joints_are_visible_and_the_heels_are_not(draw) -> None:
    drawn = draw("t_pose")
    assert seen(drawn, *BODY_JOINTS) == [True] * len(BODY_JOINTS)
    assert (drawn.coco_keypoints[:, 2] == 2).all()
    assert seen(drawn, "left_heel", "right_heel") == [False, False]


def test_from_behind_the_limbs_are_visible_and_the_face_is_not(draw) -> None:
    drawn = draw("t_pose", BACK)
    limbs = [name for name in COCO_KEYPOINTS if name.split("_")[-1] not in ("nose", "eye", "ear")]
    assert seen(drawn, *limbs) == [True] * len(limbs)
    face = ("nose", "left_eye", "right_eye", "left_eye_smplhf", "right_eye_smplhf", "mouth_top", "left_small_toe")
    assert seen(drawn, *face) == [False] * len(face)


def test_from_the_left_the_right_side_is_hidden(draw) -> None:
    drawn = draw("arms_down", LEFT_SIDE)
    assert seen(drawn, "left_ear", "left_shoulder", "left_elbow", "left_knee", "left_ankle") == [True] * 5
    assert seen(drawn, "right_ear", "right_shoulder", "right_elbow", "right_hip", "right_eye") == [False] * 5
    levels = dict(zip(COCO_KEYPOINTS, drawn.coco_keypoints[:, 2], strict=True))
    assert levels["right_ear"] == 1 and levels["left_ear"] == 2


@pytest.mark.parametrize("yaw", [LEFT_SIDE - 0.2, LEFT_SIDE, LEFT_SIDE + 0.2])
def test_the_own_trunk_hides_the_joints_of_its_far_side(draw, yaw: float) -> None:
    drawn = draw("behind_back", yaw, betas=1.0)  # no arm or hand before the trunk
    assert seen(drawn, "left_hip", "left_shoulder") == [True, True]
    assert seen(drawn, "right_hip", "right_shoulder") == [False, False]


def test_arms_behind_the_back_are_hidden_from_the_front_only(draw) -> None:
    front, behind = draw("behind_back"), draw("behind_back", BACK)
    assert seen(front, "left_wrist", "right_wrist") == [False, False]
    assert seen(front, "left_shoulder", "right_shoulder", "spine3") == [True] * 3
    assert seen(behind, "right_wrist") == [True]  # the left one lies under it
    assert seen(behind, "left_elbow", "right_elbow") == [True, True]


def test_of_crossed_arms_the_outer_hides_the_inner(draw) -> None:
    drawn = draw("crossed")
    assert seen(drawn, "left_wrist", "left_elbow", "right_elbow") == [True] * 3
    assert seen(drawn, "right_wrist") == [False]


@pytest.mark.parametrize("pose", ["t_pose", "arms_down", "squat"])
def test_mirrored_views_see_mirrored_joints(draw, pose: str) -> None:
    left, right = draw(pose, 0.9, size=384), draw(pose, -0.9, size=384)
    mirror = mirror_permutation(OUTPUT_JOINTS)[COCO_FROM_OUTPUT]
    np.testing.assert_array_equal(left.visible[COCO_FROM_OUTPUT], right.visible[mirror])


def test_outside_the_image_nothing_is_visible(draw) -> None:
    drawn = draw("arms_down", size=128, focal=3.0, aim=(0.0, 0.2, 0.0))  # head and shoulders
    levels = dict(zip(COCO_KEYPOINTS, drawn.coco_keypoints[:, 2], strict=True))
    assert levels["left_knee"] == levels["right_ankle"] == 0
    assert levels["nose"] == 2
    outside = ((drawn.keypoints < 0) | (drawn.keypoints >= 128)).any(axis=1)
    assert outside.any() and not drawn.visible[outside].any()


def test_an_uncovered_pixel_hides_nothing(body: BodyModel) -> None:
    empty = Raster(np.full((8, 8), -1, np.int32), np.zeros((8, 8, 3), np.float32), np.zeros((8, 8), np.float32))
    keypoints = np.full((127, 2), 4.0, dtype=np.float32)
    keypoints[3] = (8.0, 4.0)  # the far border belongs to the next pixel, which is outside
    keypoints[4] = (0.0, 0.0)
    visible = visible_keypoints(body, empty, np.ones((127, 3), dtype=np.float32), keypoints)
    assert not visible[3] and visible.sum() == 126


def test_parts_follow_the_joints(body: BodyModel, draw) -> None:
    assert len(np.unique(face_parts(body))) == 55
    drawn = draw("t_pose", size=384)
    parts = part_map(body, drawn.raster)
    assert (parts[~drawn.mask] == -1).all() and (parts[drawn.mask] >= 0).all()
    for name in ("left_shoulder", "right_elbow", "left_knee", "head", "spine3"):
        joint = BODY_JOINTS.index(name)
        rows, columns = np.nonzero(parts == joint)
        centre = drawn.keypoints[joint] - (columns.mean(), rows.mean())
        assert np.linalg.norm(centre) < 40  # px: half a limb


def test_a_body_beside_the_image_has_an_empty_label(body: BodyModel) -> None:
    parameters = replace(rest_parameters(), global_orient=FACING, transl=np.array([9, 0, 3], dtype=np.float32))
    drawn = draw_label(body, parameters, make_K(64.0, 64, 64), 64, 64)
    assert not drawn.mask.any() and not drawn.visible.any() and not drawn.bbox.any()
    assert (drawn.coco_keypoints[:, 2] == 0).all()


def test_refuses_bodies_that_no_camera_sees(body: BodyModel) -> None:
    K = make_K(64.0, 64, 64)
    for transl in ((0, 0, 0.1), (0, 0, -3), (0, 0, np.nan)):
        parameters = replace(rest_parameters(), global_orient=FACING, transl=np.array(transl, dtype=np.float32))
        with pytest.raises(ValueError, match="in front of the camera"):
            draw_label(body, parameters, K, 64, 64)
    parameters = replace(rest_parameters(), global_orient=FACING, transl=np.array([0, 0, 70], dtype=np.float32))
    with pytest.raises(ValueError, match="16 bit"):
        draw_label(body, parameters, make_K(6400.0, 64, 64), 64, 64)


def test_bbox_counts_from_pixel_corners() -> None:
    mask = np.zeros((6, 9), dtype=bool)
    mask[2, 3] = True
    np.testing.assert_array_equal(mask_bbox(mask), [3, 2, 1, 1])
    mask[4, 8] = True
    np.testing.assert_array_equal(mask_bbox(mask), [3, 2, 6, 3])
