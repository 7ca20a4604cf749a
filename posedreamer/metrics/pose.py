"""Errors of predicted joints and vertices, millimetres; how many points are near enough; how varied poses are.

Inputs in metres, camera frame; means over points, not over the batch.
"""

import numpy as np
from jaxtyping import Bool, Float

from posedreamer.geometry.align import procrustes
from posedreamer.geometry.rotations import rotvec_to_rotmat

PELVIS = 0  # the root joint of SMPL-X and of every table in geometry/skeletons.py


def _mean_distance_mm(
    predicted: Float[np.ndarray, "*batch points 3"], expected: Float[np.ndarray, "*batch points 3"]
) -> Float[np.ndarray, "*batch"]:
    return np.asarray(1000.0 * np.linalg.norm(predicted - expected, axis=-1).mean(-1))


def mpjpe_mm(
    predicted: Float[np.ndarray, "*batch joints 3"], expected: Float[np.ndarray, "*batch joints 3"], root: int = PELVIS
) -> Float[np.ndarray, "*batch"]:
    """Mean distance of joints after both root joints are moved onto each other; the root itself counts, with error 0."""
    return _mean_distance_mm(
        predicted - predicted[..., root : root + 1, :], expected - expected[..., root : root + 1, :]
    )


def pa_mpjpe_mm(
    predicted: Float[np.ndarray, "*batch joints 3"], expected: Float[np.ndarray, "*batch joints 3"]
) -> Float[np.ndarray, "*batch"]:
    """Mean distance of joints after the best similarity (scale, rotation, translation) of prediction onto truth."""
    return _mean_distance_mm(procrustes(predicted, expected), expected)


def pve_mm(
    predicted: Float[np.ndarray, "*batch verts 3"],
    expected: Float[np.ndarray, "*batch verts 3"],
    predicted_root: Float[np.ndarray, "*batch 3"],
    expected_root: Float[np.ndarray, "*batch 3"],
) -> Float[np.ndarray, "*batch"]:
    """Mean distance of vertices after both root joints (the pelvis, by custom) are moved onto each other."""
    return _mean_distance_mm(predicted - predicted_root[..., None, :], expected - expected_root[..., None, :])


def pa_pve_mm(
    predicted: Float[np.ndarray, "*batch verts 3"], expected: Float[np.ndarray, "*batch verts 3"]
) -> Float[np.ndarray, "*batch"]:
    """Mean distance of vertices after the best similarity of prediction onto truth."""
    return _mean_distance_mm(procrustes(predicted, expected), expected)


def pck(
    found: Float[np.ndarray, "*batch points 2"],
    expected: Float[np.ndarray, "*batch points 2"],
    counts: Bool[np.ndarray, "*batch points"],
    length: Float[np.ndarray, "*batch"],
    share: float,
) -> Float[np.ndarray, "*batch"]:
    """Share of the points that count which lie within `share` of a length, both in pixels; nan where none counts.

    The length makes the protocol: PCK takes the trunk (left shoulder to right hip) and .2, PCKh the head and .5.
    """
    near = np.linalg.norm(found - expected, axis=-1) <= share * np.asarray(length)[..., None]
    with np.errstate(invalid="ignore"):
        return np.asarray((near & counts).sum(-1) / counts.sum(-1))


def in_body_frame(
    joints: Float[np.ndarray, "batch joints 3"], global_orient: Float[np.ndarray, "batch 3"]
) -> Float[np.ndarray, "batch joints 3"]:
    """Joints from the pelvis, in the body's own axes: what is left is the pose. global_orient: rotation vectors of the same frame."""
    turned_back = rotvec_to_rotmat(global_orient.astype(np.float64))
    return np.asarray((joints - joints[:, PELVIS : PELVIS + 1]) @ turned_back)
