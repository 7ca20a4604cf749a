"""The turn of a head from its keypoints: exact where they are, whatever its place and size, and blind to what is not trusted."""

import numpy as np
import pytest

from posedreamer.bodies.catalog import load_body
from posedreamer.bodies.posing import pose_bodies, rest_parameters
from posedreamer.estimators.head_pose import FROM_COCO, FROM_OUTPUT, head_turn
from posedreamer.geometry.cameras import make_K
from posedreamer.geometry.rotations import rotvec_to_rotmat

SURE = np.ones(17)


@pytest.fixture(scope="module")
def joints():
    """A body at rest, upright before the camera and facing it, its head at the origin."""
    (posed,) = pose_bodies(load_body(), [rest_parameters()])
    joints = posed.joints @ rotvec_to_rotmat(np.array([np.pi, 0.0, 0.0])).T
    return joints - joints[FROM_OUTPUT].mean(axis=0)


def seen(joints, turn, place, focal):
    """The label's joints in the camera, and keypoints of the same head, turned about its middle."""
    K = make_K(focal, 256, 256)
    there = joints + place
    turned = joints[FROM_OUTPUT] @ rotvec_to_rotmat(np.deg2rad(turn)).T + place
    pixels = turned @ K.T
    keypoints = np.zeros((17, 2))
    keypoints[FROM_COCO] = pixels[:, :2] / pixels[:, 2:]
    return keypoints, there, K


@pytest.mark.parametrize("place", [(0.0, 0.0, 60.0), (12.0, -9.0, 50.0)])
@pytest.mark.parametrize(
    "turn",
    [(0.0, 0.0, 0.0), (0.0, 40.0, 0.0), (0.0, -85.0, 0.0), (25.0, 0.0, 0.0), (0.0, 0.0, 33.0), (0.0, 180.0, 0.0)],
)
def test_a_turn_is_found_as_it_is(joints, turn, place):
    """From afar, where perspective is scaled orthography."""
    found = head_turn(*arguments(seen(joints, np.array(turn), np.array(place), 20000.0)))
    assert found.degrees == pytest.approx(np.linalg.norm(turn), abs=1.0)
    assert found.residual < 0.01


def test_from_near_the_label_s_own_head_is_hardly_turned(joints):
    found = head_turn(*arguments(seen(joints, np.zeros(3), np.array([0.3, -0.5, 2.5]), 300.0)))
    assert found.degrees < 4.0 and found.residual < 0.03


def test_place_and_size_of_the_head_seen_change_nothing(joints):
    keypoints, there, K = seen(joints, np.array([0.0, 30.0, 0.0]), np.array([0.0, 0.0, 60.0]), 20000.0)
    first = head_turn(keypoints, SURE, there, K)
    other = head_turn(1.4 * (keypoints - 128.0) + 128.0 + np.array([9.0, -5.0]), SURE, there, K)
    assert other.degrees == pytest.approx(first.degrees, abs=0.5)


def test_a_point_that_is_not_trusted_has_no_say(joints):
    keypoints, there, K = seen(joints, np.zeros(3), np.array([0.0, 0.0, 60.0]), 20000.0)
    keypoints[FROM_COCO[0]] += 15.0
    trusted = head_turn(keypoints, SURE, there, K)
    confidence = SURE.copy()
    confidence[FROM_COCO[0]] = 0.0
    assert head_turn(keypoints, confidence, there, K).degrees < 2.0 < 10.0 < trusted.degrees


def arguments(found):
    keypoints, there, K = found
    return keypoints, SURE, there, K
