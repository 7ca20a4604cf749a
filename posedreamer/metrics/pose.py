"""Errors of predicted joints and vertices, millimetres. Inputs in metres, camera frame; means over points, not over the batch."""

import numpy as np
from jaxtyping import Float

from posedreamer.geometry.align import procrustes

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
