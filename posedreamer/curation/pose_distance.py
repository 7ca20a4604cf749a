"""How far two body poses are apart: joint angles and the tilt of the root, without its turn about the vertical.

A pose is (body_pose, up): the 21 rotations of the body joints, and the world's up direction seen from the pelvis, which is
what remains of the root orientation when its yaw is ignored. A left/right mirrored pose counts as the same pose.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer

from posedreamer.geometry.rotations import mirror_rotvec, rotvec_to_rotmat
from posedreamer.geometry.skeletons import BODY_JOINTS, mirror_permutation
from posedreamer.sample import Label

MIRROR = mirror_permutation(BODY_JOINTS[1:])


class PoseSet(NamedTuple):
    """Poses to compare. up: unit vectors in the frame of the pelvis; (0, 1, 0) is an upright root."""

    body_pose: Float[np.ndarray, "poses 21 3"]
    up: Float[np.ndarray, "poses 3"]


class Nearest(NamedTuple):
    """The closest pose of a reference set, radians: mean angle between corresponding joints, and angle between the ups."""

    reference: Integer[np.ndarray, " poses"]
    joints_rad: Float[np.ndarray, " poses"]
    tilt_rad: Float[np.ndarray, " poses"]


def up_in_body(global_orient_world: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
    """The world's up (+y) in the frame of the pelvis; the same for any yaw of the body."""
    return rotvec_to_rotmat(np.asarray(global_orient_world, np.float64))[..., 1, :]


def pose_of_label(label: Label) -> PoseSet:
    """One label as a set of one pose; its root is taken back from the camera frame to the world."""
    up_cam = label.T_cam_from_world[:3, 1]
    root = rotvec_to_rotmat(np.asarray(label.parameters.global_orient, np.float64))
    return PoseSet(np.asarray(label.parameters.body_pose, np.float64)[None], (root.T @ up_cam)[None])


def mirrored(poses: PoseSet) -> PoseSet:
    """The same poses with left and right exchanged."""
    return PoseSet(mirror_rotvec(poses.body_pose[:, MIRROR]), poses.up * np.array([-1.0, 1.0, 1.0]))


def concatenate(sets: list[PoseSet]) -> PoseSet:
    """The poses of all sets, in order."""
    return PoseSet(np.concatenate([s.body_pose for s in sets]), np.concatenate([s.up for s in sets]))


def joint_angles(a: PoseSet, b: PoseSet) -> Float[np.ndarray, "a b"]:
    """Mean geodesic angle over the 21 body joints, radians, of every pose of a with every pose of b."""
    total = np.zeros((len(a.up), len(b.up)))
    for joint in range(a.body_pose.shape[1]):
        total += _angle(_quaternions(a.body_pose[:, joint]), _quaternions(b.body_pose[:, joint]), half=True)
    return total / a.body_pose.shape[1]


def tilt_angles(a: PoseSet, b: PoseSet) -> Float[np.ndarray, "a b"]:
    """Angle between the up directions, radians, of every pose of a with every pose of b."""
    return _angle(a.up, b.up, half=False)


def nearest_pose(poses: PoseSet, references: PoseSet, tilt_weight: float = 1.0) -> Nearest:
    """For each pose the nearest reference or mirrored reference.

    Nearest by joint angle + tilt_weight x tilt / 21, as if the root's tilt were one more joint.
    """
    if not len(references.up):
        raise ValueError("nearest_pose: the reference set is empty")
    angles = np.stack([joint_angles(poses, references), joint_angles(poses, mirrored(references))])
    tilts = np.stack([tilt_angles(poses, references), tilt_angles(poses, mirrored(references))])
    cost = angles + tilt_weight * tilts / poses.body_pose.shape[1]
    side = cost.argmin(axis=0)
    column = np.take_along_axis(cost, side[None], 0)[0].argmin(axis=1)
    row = np.arange(len(column))
    chosen = (side[row, column], row, column)
    return Nearest(column, angles[chosen], tilts[chosen])


def _quaternions(rotvec: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 4"]:
    angle = np.linalg.norm(rotvec, axis=-1, keepdims=True)
    return np.concatenate([rotvec * (np.sinc(angle / (2 * np.pi)) / 2), np.cos(angle / 2)], axis=-1)


def _angle(a: np.ndarray, b: np.ndarray, half: bool) -> np.ndarray:
    """Angles between unit vectors; of unit quaternions (half) the rotation angle, q and -q being the same."""
    dot = np.clip(a @ b.T, -1.0, 1.0)
    return 2.0 * np.arccos(np.abs(dot)) if half else np.arccos(dot)
