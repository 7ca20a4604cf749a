"""The deviation of joints, where it is known."""

import numpy as np
import pytest

from posedreamer.bodies.catalog import load_body
from posedreamer.bodies.posing import body_joints
from posedreamer.drpose.diversity import joint_deviation
from posedreamer.geometry.skeletons import BODY_JOINTS


def test_one_pose_has_none_and_larger_moves_have_more() -> None:
    body, rng = load_body(), np.random.default_rng(0)
    moves = rng.normal(0, 0.2, (40, 21, 3))
    assert joint_deviation(body, np.zeros((5, 21, 3))) == pytest.approx(0.0, abs=1e-7)
    assert joint_deviation(body, moves) < joint_deviation(body, 2 * moves)


def test_two_poses_of_one_elbow_differ_by_the_wrist_alone() -> None:
    """Wrist (and nothing else) moves by d: its variance over the two poses is d^2 / 4, shared by 21 joints and 3 axes."""
    body, poses = load_body(), np.zeros((2, 21, 3))
    poses[1, BODY_JOINTS.index("left_elbow") - 1, 1] = 1.2
    joints = body_joints(body, poses).astype(np.float64)
    moved = np.linalg.norm(joints[1] - joints[0], axis=1)
    assert (moved > 1e-4).sum() == 1
    assert joint_deviation(body, poses) == pytest.approx(np.sqrt(moved.max() ** 2 / 4 / (21 * 3)), rel=1e-4)
