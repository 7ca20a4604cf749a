"""Anatomical angles: round trips, symmetry, and the directions that the words promise."""

import numpy as np
import pytest

from posedreamer.geometry.rotations import mirror_rotvec, rotvec_to_rotmat
from posedreamer.geometry.skeletons import BODY_JOINTS, mirror_name
from posedreamer.stages.sampling.angles import JOINT_ANGLES, angles_to_rotvec, kind_of, rotvec_to_angles

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("joint", BODY_JOINTS)
def test_angles_come_back(joint: str) -> None:
    for _ in range(20):
        angles = RNG.uniform([-150, -80, -150], [150, 80, 150])
        np.testing.assert_allclose(rotvec_to_angles(joint, angles_to_rotvec(joint, angles)), angles, atol=1e-6)


@pytest.mark.parametrize("joint", [joint for joint in BODY_JOINTS if joint.startswith("left_")])
def test_equal_angles_are_a_symmetric_pose(joint: str) -> None:
    angles = RNG.uniform(-70, 70, 3)
    left, right = angles_to_rotvec(joint, angles), angles_to_rotvec(mirror_name(joint), angles)
    np.testing.assert_allclose(right, mirror_rotvec(left))


def test_rest_pose_is_arms_abducted_by_ninety() -> None:
    for side in ("left", "right"):
        np.testing.assert_allclose(angles_to_rotvec(f"{side}_shoulder", np.array([0.0, 90.0, 0.0])), 0.0, atol=1e-9)
    for joint in BODY_JOINTS:
        if kind_of(joint) != "shoulder":
            np.testing.assert_allclose(angles_to_rotvec(joint, np.zeros(3)), 0.0, atol=1e-9)


# Joint, angles, a direction of the rest pose, and where it points then (x: the body's left, y: up, z: front).
DIRECTIONS = [
    ("left_hip", [90, 0, 0], [0, -1, 0], [0, 0, 1]),
    ("right_hip", [0, 90, 0], [0, -1, 0], [-1, 0, 0]),
    ("left_hip", [0, 0, 90], [0, 0, 1], [1, 0, 0]),
    ("left_knee", [90, 0, 0], [0, -1, 0], [0, 0, -1]),
    ("left_ankle", [90, 0, 0], [0, 0, 1], [0, 1, 0]),
    ("right_ankle", [0, 90, 0], [0, -1, 0], [1, 0, 0]),
    ("left_foot", [90, 0, 0], [0, 0, 1], [0, 1, 0]),
    ("spine1", [90, 0, 0], [0, 1, 0], [0, 0, 1]),
    ("head", [0, 90, 0], [0, 1, 0], [1, 0, 0]),
    ("pelvis", [0, 0, 90], [0, 0, 1], [1, 0, 0]),
    ("left_shoulder", [0, 0, 0], [1, 0, 0], [0, -1, 0]),
    ("right_shoulder", [90, 0, 0], [-1, 0, 0], [0, 0, 1]),
    ("left_shoulder", [180, 0, 0], [1, 0, 0], [0, 1, 0]),
    ("left_elbow", [90, 0, 0], [1, 0, 0], [0, 0, 1]),
    ("left_wrist", [90, 0, 0], [1, 0, 0], [0, -1, 0]),
    ("left_wrist", [0, 90, 0], [1, 0, 0], [0, 0, 1]),
    ("left_collar", [90, 0, 0], [1, 0, 0], [0, 1, 0]),
    ("left_collar", [0, 90, 0], [1, 0, 0], [0, 0, 1]),
]


@pytest.mark.parametrize(("joint", "angles", "before", "after"), DIRECTIONS)
def test_words_point_where_they_say(joint: str, angles: list[int], before: list[int], after: list[int]) -> None:
    rotmat = rotvec_to_rotmat(angles_to_rotvec(joint, np.array(angles, dtype=np.float64)))
    np.testing.assert_allclose(rotmat @ np.array(before), np.array(after), atol=1e-9)


def test_every_body_joint_has_angles() -> None:
    assert {kind_of(joint) for joint in BODY_JOINTS} == set(JOINT_ANGLES)
