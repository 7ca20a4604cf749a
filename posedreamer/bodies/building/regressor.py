"""The joint regressor: joint centres as sparse linear functions of nearby vertices, fitted on the population.

As in SMPL the weights of a joint start from a non-negative fit; where that misses by more than a millimetre and a half a
signed ridge correction follows. Right-side rows are the mirror image of left-side ones.
"""

import numpy as np
from scipy.optimize import nnls

from posedreamer.geometry.skeletons import SMPLX_JOINTS, mirror_name

NUM_TRAIN = 160
NUM_NEAREST, NUM_NEAR, NUM_SPREAD = 60, 1500, 260
TARGET_ERROR_M = 0.0015
SUM_TO_ONE = 100.0
RIDGE = 1e-3


def fit_regressor(
    vertices: np.ndarray, joints: np.ndarray, mirror: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Regressor (55, verts) with rows that sum to 1, and its mean error per joint on bodies it was not fitted on, metres.

    vertices (bodies, verts, 3), joints (bodies, 55, 3): T-posed, metres. mirror: index of each vertex's mirror image.
    """
    order = rng.permutation(len(vertices))
    train, held_out = order[:NUM_TRAIN], order[NUM_TRAIN:]
    regressor = np.zeros((len(SMPLX_JOINTS), vertices.shape[1]))
    mean = vertices.mean(axis=0)
    for index, joint in enumerate(SMPLX_JOINTS):
        if joint.startswith("right_"):
            continue
        near = np.argsort(((mean - joints[:, index].mean(axis=0)) ** 2).sum(axis=1))[:NUM_NEAR]
        chosen = np.unique(np.concatenate([near[:NUM_NEAREST], rng.permutation(near)[:NUM_SPREAD]]))
        if mirror_name(joint) == joint:
            chosen = np.unique(np.concatenate([chosen, mirror[chosen]]))
        row = np.zeros(vertices.shape[1])
        row[chosen] = _fit_row(vertices[train][:, chosen], joints[train, index])
        if mirror_name(joint) == joint:
            regressor[index] = 0.5 * (row + row[mirror])
        else:
            regressor[index] = row
            regressor[SMPLX_JOINTS.index(mirror_name(joint))] = row[mirror]
    predicted = np.einsum("jv,nvc->njc", regressor, vertices[held_out], optimize=True)
    return regressor, np.linalg.norm(predicted - joints[held_out], axis=-1).mean(axis=0)


def _fit_row(vertices: np.ndarray, joint: np.ndarray) -> np.ndarray:
    matrix = vertices.transpose(0, 2, 1).reshape(-1, vertices.shape[1])
    target = joint.reshape(-1)
    constraint = np.full((1, matrix.shape[1]), SUM_TO_ONE)
    row, _ = nnls(np.vstack([matrix, constraint]), np.append(target, SUM_TO_ONE), maxiter=5000)
    row /= row.sum()
    error = np.linalg.norm((matrix @ row - target).reshape(-1, 3), axis=1).mean()
    if error <= TARGET_ERROR_M:
        return row
    centred = matrix - matrix.mean(axis=1, keepdims=True)
    normal = centred.T @ centred + RIDGE * np.eye(centred.shape[1])
    correction = np.linalg.solve(normal, centred.T @ (target - matrix @ row))
    return row + correction - correction.mean()
