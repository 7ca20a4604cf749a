"""Skinning of the fine rig: half dual-quaternion, half linear blending (Kavan et al. 2007).

Linear blending alone loses volume at bent joints, dual quaternions alone bulge; the mean of the two does neither much.
"""

import numpy as np
from scipy.spatial.transform import Rotation

DUAL_SHARE = 0.6


def rotation_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The smallest rotation that turns direction a to direction b."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    axis = np.cross(a, b)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + cross + cross @ cross / (1 + a @ b)


def rotation_part(rotmat: np.ndarray, share: float) -> np.ndarray:
    """The given share of a rotation, about the same axis."""
    return Rotation.from_rotvec(Rotation.from_matrix(rotmat).as_rotvec() * share).as_matrix()


def skin(vertices: np.ndarray, weights: np.ndarray, rotmats: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Vertices (verts, 3) moved by the bones' transforms x -> rotmats x + shifts, mixed by weights (verts, bones)."""
    linear = (weights @ rotmats.reshape(len(rotmats), 9)).reshape(-1, 3, 3)
    moved = (linear @ vertices[..., None])[..., 0] + weights @ shifts
    return (1 - DUAL_SHARE) * moved + DUAL_SHARE * _skin_dual(vertices, weights, rotmats, shifts)


def _skin_dual(vertices: np.ndarray, weights: np.ndarray, rotmats: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    real = Rotation.from_matrix(rotmats).as_quat()  # x, y, z, w
    # Signs of the half-sphere of the root; rotations of a body's parts against it stay well under half a turn.
    real = real * np.where(real @ real[0] < 0, -1.0, 1.0)[:, None]
    dual = 0.5 * _multiply(np.concatenate([shifts, np.zeros((len(shifts), 1))], axis=1), real)
    real, dual = weights @ real, weights @ dual
    norm = np.linalg.norm(real, axis=1, keepdims=True)
    real, dual = real / norm, dual / norm
    conjugate = real * np.array([-1.0, -1.0, -1.0, 1.0])
    shift = 2.0 * _multiply(dual, conjugate)[:, :3]
    return Rotation.from_quat(real).apply(vertices) + shift


def _multiply(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    vector = p[:, 3:] * q[:, :3] + q[:, 3:] * p[:, :3] + np.cross(p[:, :3], q[:, :3])
    return np.concatenate([vector, p[:, 3:] * q[:, 3:] - (p[:, :3] * q[:, :3]).sum(1, keepdims=True)], axis=1)
