"""Laws of the pose distance: a metric on joints, blind to yaw and to the mirror."""

import numpy as np
import pytest
import roma
import torch

from posedreamer.curation.pose_distance import (
    PoseSet,
    concatenate,
    joint_angles,
    mirrored,
    nearest_pose,
    tilt_angles,
    up_in_body,
)
from posedreamer.geometry.rotations import compose_rotvec
from posedreamer.geometry.skeletons import BODY_JOINTS

RNG = np.random.default_rng(5)


def draw(count, scale=0.8):
    orient = RNG.normal(0, 1, (count, 3))
    return PoseSet(RNG.normal(0, scale, (count, 21, 3)), up_in_body(orient)), orient


def test_joint_angles_equal_the_geodesic_of_roma():
    a, b = draw(4)[0], draw(3)[0]
    expected = [
        [
            roma.rotmat_geodesic_distance(
                roma.rotvec_to_rotmat(torch.tensor(x)), roma.rotvec_to_rotmat(torch.tensor(y))
            ).mean()
            for y in b.body_pose
        ]
        for x in a.body_pose
    ]
    assert np.allclose(joint_angles(a, b), expected, atol=1e-7)


def test_one_joint_turned_by_an_angle_is_that_angle_over_21():
    a, _ = draw(1)
    turned = a.body_pose.copy()
    turned[0, 7] = compose_rotvec(turned[0, 7], np.array([0.0, 0.3, 0.0]))
    assert np.allclose(joint_angles(a, PoseSet(turned, a.up)), 0.3 / 21, atol=1e-7)


def test_distances_are_symmetric_and_vanish_on_the_diagonal():
    a, _ = draw(5)
    for distance in (joint_angles(a, a), tilt_angles(a, a)):
        assert np.allclose(distance, distance.T)
        assert np.allclose(np.diag(distance), 0.0, atol=1e-6)


def test_yaw_of_the_body_changes_nothing_and_a_lean_does():
    orient = np.array([0.4, -1.0, 0.2])
    yawed = compose_rotvec(np.array([0.0, 1.3, 0.0]), orient)
    leaned = compose_rotvec(np.array([0.5, 0.0, 0.0]), orient)
    assert np.allclose(up_in_body(yawed), up_in_body(orient))
    assert np.arccos(up_in_body(leaned) @ up_in_body(orient)) > 0.1
    assert np.allclose(up_in_body(np.zeros(3)), [0, 1, 0])


def test_mirroring_twice_changes_nothing_and_keeps_distances():
    a, b = draw(3)[0], draw(2)[0]
    for before, after in zip(a, mirrored(mirrored(a)), strict=True):
        assert np.allclose(before, after)
    assert np.allclose(joint_angles(mirrored(a), mirrored(b)), joint_angles(a, b))
    assert np.allclose(tilt_angles(mirrored(a), mirrored(b)), tilt_angles(a, b))


def test_the_mirror_hands_the_left_knee_to_the_right_one():
    poses, _ = draw(1)
    knees = [BODY_JOINTS.index(f"{side}_knee") - 1 for side in ("left", "right")]
    assert np.allclose(mirrored(poses).body_pose[0, knees[1]], poses.body_pose[0, knees[0]] * [1, -1, -1])
    neck = BODY_JOINTS.index("neck") - 1
    assert np.allclose(mirrored(poses).body_pose[0, neck], poses.body_pose[0, neck] * [1, -1, -1])


def test_the_mirror_of_a_root_orientation_mirrors_its_up():
    orient = RNG.normal(0, 1, 3)
    pose = PoseSet(np.zeros((1, 21, 3)), up_in_body(orient)[None])
    assert np.allclose(mirrored(pose).up[0], up_in_body(orient * [1, -1, -1]))


def test_the_nearest_pose_is_found_through_noise_and_mirror():
    references, _ = draw(12)
    noisy = PoseSet(references.body_pose + RNG.normal(0, 0.02, references.body_pose.shape), references.up)
    for poses in (noisy, mirrored(noisy)):
        found = nearest_pose(poses, references)
        assert found.reference.tolist() == list(range(12))
        assert found.joints_rad.max() < 0.06
        assert found.tilt_rad.max() < 1e-6


def test_the_same_joints_lying_and_standing_differ_by_the_tilt():
    standing = PoseSet(np.zeros((1, 21, 3)), up_in_body(np.zeros((1, 3))))
    lying = PoseSet(np.zeros((1, 21, 3)), up_in_body(np.array([[-np.pi / 2, 0, 0]])))
    found = nearest_pose(standing, concatenate([lying]))
    assert found.joints_rad[0] == pytest.approx(0.0, abs=1e-9)
    assert found.tilt_rad[0] == pytest.approx(np.pi / 2)


def test_an_empty_reference_set_is_refused():
    with pytest.raises(ValueError, match="empty"):
        nearest_pose(draw(1)[0], PoseSet(np.zeros((0, 21, 3)), np.zeros((0, 3))))
