"""Rotations: conversions there and back, composition as matrices compose, the mirror."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from posedreamer.geometry.rotations import (
    compose_rotvec,
    mirror_rotvec,
    rot6d_to_rotmat,
    rotmat_to_rot6d,
    rotmat_to_rotvec,
    rotvec_to_rotmat,
)

RNG = np.random.default_rng(0)
ROTVECS = Rotation.random(20, rng=RNG).as_rotvec().reshape(4, 5, 3)
MIRROR = np.diag([-1.0, 1.0, 1.0])


def test_matrices_are_those_of_scipy() -> None:
    """Active, column vectors: the same as the reference implementation."""
    expected = Rotation.from_rotvec(ROTVECS.reshape(-1, 3)).as_matrix().reshape(4, 5, 3, 3)
    np.testing.assert_allclose(rotvec_to_rotmat(ROTVECS), expected, atol=1e-12)
    np.testing.assert_allclose(rotvec_to_rotmat(np.array([0.0, 0.0, np.pi / 2])) @ [1, 0, 0], [0, 1, 0], atol=1e-12)


def test_rotvec_and_rotmat_undo_each_other() -> None:
    np.testing.assert_allclose(rotmat_to_rotvec(rotvec_to_rotmat(ROTVECS)), ROTVECS, atol=1e-9)
    np.testing.assert_allclose(rotmat_to_rotvec(np.eye(3)), 0.0)
    tiny = np.array([1e-9, -2e-9, 0.0])
    np.testing.assert_allclose(rotmat_to_rotvec(rotvec_to_rotmat(tiny)), tiny, rtol=1e-4)


def test_long_rotvecs_come_back_as_the_short_one() -> None:
    back = rotmat_to_rotvec(rotvec_to_rotmat(np.array([0.0, 2 * np.pi + 0.5, 0.0])))
    np.testing.assert_allclose(back, [0.0, 0.5, 0.0], atol=1e-12)
    half_turn = rotmat_to_rotvec(np.diag([1.0, -1.0, -1.0]))
    np.testing.assert_allclose(np.abs(half_turn), [np.pi, 0, 0], atol=1e-7)


def test_rot6d_undoes_and_repairs() -> None:
    rotmats = torch.from_numpy(rotvec_to_rotmat(ROTVECS))
    rot6d = rotmat_to_rot6d(rotmats)
    torch.testing.assert_close(rot6d[0, 0], torch.cat([rotmats[0, 0, :, 0], rotmats[0, 0, :, 1]]))
    torch.testing.assert_close(rot6d_to_rotmat(rot6d), rotmats)
    # Any six numbers give a rotation, and the lengths of the two halves do not matter.
    noisy = torch.from_numpy(RNG.normal(size=(7, 6)))
    repaired = rot6d_to_rotmat(noisy)
    torch.testing.assert_close(repaired @ repaired.mT, torch.eye(3, dtype=torch.float64).expand(7, 3, 3))
    torch.testing.assert_close(torch.linalg.det(repaired), torch.ones(7, dtype=torch.float64))
    torch.testing.assert_close(rot6d_to_rotmat(noisy * 3.0), repaired)


def test_composition_is_the_product_outer_times_inner() -> None:
    outer, inner = ROTVECS[0], ROTVECS[1]
    np.testing.assert_allclose(
        rotvec_to_rotmat(compose_rotvec(outer, inner)), rotvec_to_rotmat(outer) @ rotvec_to_rotmat(inner), atol=1e-12
    )
    np.testing.assert_allclose(compose_rotvec(ROTVECS, -ROTVECS), 0.0, atol=1e-9)


def test_mirror_conjugates_by_the_flip_of_x() -> None:
    np.testing.assert_allclose(
        rotvec_to_rotmat(mirror_rotvec(ROTVECS)), MIRROR @ rotvec_to_rotmat(ROTVECS) @ MIRROR, atol=1e-12
    )
    np.testing.assert_array_equal(mirror_rotvec(mirror_rotvec(ROTVECS)), ROTVECS)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numpy_faces_return_float64(dtype: type) -> None:
    assert rotvec_to_rotmat(ROTVECS.astype(dtype)).dtype == np.float64
    assert rotmat_to_rotvec(rotvec_to_rotmat(ROTVECS).astype(dtype)).dtype == np.float64
