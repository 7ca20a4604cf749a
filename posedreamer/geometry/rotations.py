"""Rotations, as roma has them: active, column vectors, radians; quaternions in x, y, z, w order.

This file only adds what roma lacks for bodies; everything else is imported from roma by its users.
"""

import numpy as np
import roma
import torch
from jaxtyping import Float
from torch import Tensor


def rotmat_to_rot6d(rotmat: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 6"]:
    """The first two columns of each matrix, one after the other (Zhou et al. 2019)."""
    return torch.cat([rotmat[..., :, 0], rotmat[..., :, 1]], dim=-1)


def rot6d_to_rotmat(rot6d: Float[Tensor, "*batch 6"]) -> Float[Tensor, "*batch 3 3"]:
    """The rotation whose first two columns are the Gram-Schmidt form of the two halves."""
    return roma.special_gramschmidt(torch.stack([rot6d[..., :3], rot6d[..., 3:]], dim=-1))


def compose_rotvec(outer: Float[np.ndarray, "*batch 3"], inner: Float[np.ndarray, "*batch 3"]) -> np.ndarray:
    """Rotation vector of outer after inner, float64."""
    product = roma.rotvec_composition([_tensor(outer), _tensor(inner)])
    return product.numpy()


def rotvec_to_rotmat(rotvec: Float[np.ndarray, "*batch 3"]) -> np.ndarray:
    """Matrices of numpy rotation vectors, float64."""
    return roma.rotvec_to_rotmat(_tensor(rotvec)).numpy()


def rotmat_to_rotvec(rotmat: Float[np.ndarray, "*batch 3 3"]) -> np.ndarray:
    """Rotation vectors of numpy matrices, float64, angles in [0, pi]."""
    return roma.rotmat_to_rotvec(_tensor(rotmat)).numpy()


def mirror_rotvec(rotvec: Float[np.ndarray, "*batch 3"]) -> np.ndarray:
    """The rotation seen in a mirror that flips x: the sign of the y and z components turns."""
    return np.asarray(rotvec) * np.array([1.0, -1.0, -1.0])


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(array, dtype=np.float64))  # a copy: torch wants arrays that can be written to
