"""Where the anatomy is on the mesh: mirror images, the vertices that output joints are read from, their slots."""

import numpy as np
from scipy.spatial import KDTree

from posedreamer.geometry.skeletons import EXTRA_JOINT_VERTICES, FINGERS, SMPLX_JOINTS, mirror_name

FLIP = np.array([-1.0, 1.0, 1.0])
SYMMETRY_M = 2e-4


def mirror_map(mean: np.ndarray) -> np.ndarray:
    """Index of each vertex's mirror image; a mesh that has none within SYMMETRY_M is a ValueError."""
    distance, index = (np.asarray(part) for part in KDTree(mean).query(mean * FLIP))
    if distance.max() > SYMMETRY_M or not np.array_equal(index[index], np.arange(len(mean))):
        raise ValueError(
            f"mirror_map: got a mesh that is off by {distance.max():.6f} m or has doubles, expected mirror symmetry"
        )
    return index


def semantic_vertices(
    mean: np.ndarray, joints: np.ndarray, weights: np.ndarray, eyes: dict[str, np.ndarray], mirror: np.ndarray
) -> dict[str, int]:
    """Vertex of each name of EXTRA_JOINT_VERTICES on the T-posed mean body.

    weights (verts, 55); eyes: side -> vertices of the eyeball. Found on the left, mirrored to the right.
    """
    joint = {name: joints[index] for index, name in enumerate(SMPLX_JOINTS)}
    skin = np.setdiff1d(np.arange(len(mean)), np.concatenate(list(eyes.values())))
    column = {name: weights[:, index] for index, name in enumerate(SMPLX_JOINTS)}
    head = skin[column["head"][skin] > 0.5]
    eye_height = joint["left_eye_smplhf"][1]
    midline = head[(np.abs(mean[head, 0]) < 0.004) & (mean[head, 1] < eye_height)]
    ear_level = head[np.abs(mean[head, 1] - eye_height + 0.02) < 0.035]
    toes = skin[(column["left_foot"][skin] > 0.6)]
    middle = np.median(mean[toes, 0])
    foot = skin[(column["left_foot"] + column["left_ankle"])[skin] > 0.6]
    found = {
        "nose": _furthest(mean, midline, (0, 0, 1)),
        "left_eye": _furthest(mean, eyes["left"], (0, 0, 1)),
        "left_ear": _furthest(mean, ear_level, (1, 0, 0)),
        "left_big_toe": _furthest(mean, toes[mean[toes, 0] < middle - 0.015], (0, 0, 1)),
        "left_small_toe": _furthest(mean, toes[mean[toes, 0] > middle + 0.022], (0.2, 0, 1)),
        "left_heel": _furthest(mean, foot, (0, -0.5, -1)),
    }
    for finger in FINGERS:
        tip = skin[column[f"left_{finger}3"][skin] > 0.5]
        found[f"left_{finger}"] = _furthest(mean, tip, joint[f"left_{finger}3"] - joint[f"left_{finger}2"])
    return {
        name: int(mirror[found[mirror_name(name)]]) if name.startswith("right_") else found[name]
        for name in EXTRA_JOINT_VERTICES
    }


def slot_order(semantic: dict[str, int], num_vertices: int) -> np.ndarray:
    """Order of the vertices, new -> old, in which each semantic vertex stands in its official slot."""
    slots = {EXTRA_JOINT_VERTICES[name]: vertex for name, vertex in semantic.items()}
    others = iter(np.setdiff1d(np.arange(num_vertices), list(slots.values())).tolist())
    return np.array([slots[place] if place in slots else next(others) for place in range(num_vertices)])


def symmetric(values: np.ndarray, mirror: np.ndarray, is_vector: bool) -> np.ndarray:
    """Per-vertex values made equal to their own mirror image. Vectors: (verts, 3, ...), x changes sign."""
    other = values[mirror]
    if is_vector:
        other = other * FLIP.reshape(1, 3, *([1] * (values.ndim - 2)))
    return 0.5 * (values + other)


def symmetric_weights(weights: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Skinning weights made mirror-symmetric."""
    joints = [SMPLX_JOINTS.index(mirror_name(name)) for name in SMPLX_JOINTS]
    return 0.5 * (weights + weights[mirror][:, joints])


def _furthest(mean: np.ndarray, candidates: np.ndarray, direction) -> int:
    return int(candidates[np.argmax(mean[candidates] @ np.asarray(direction, dtype=float))])
