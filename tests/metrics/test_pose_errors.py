"""Closed forms of the pose errors."""

import numpy as np
import roma
import torch

from posedreamer.metrics.pose import mpjpe_mm, pa_mpjpe_mm, pa_pve_mm, pve_mm

JOINTS = np.random.default_rng(0).normal(0, 0.4, (3, 22, 3))
SHIFT = np.array([1.0, 2.0, 3.0])


def rotation() -> np.ndarray:
    return roma.rotvec_to_rotmat(torch.tensor([0.3, -1.1, 0.6], dtype=torch.float64)).numpy()


def test_identical_is_zero() -> None:
    for error in (mpjpe_mm, pa_mpjpe_mm, pa_pve_mm):
        np.testing.assert_allclose(error(JOINTS, JOINTS), 0, atol=1e-9)
    np.testing.assert_array_equal(pve_mm(JOINTS, JOINTS, JOINTS[:, 0], JOINTS[:, 0]), 0)


def test_one_joint_off_by_d() -> None:
    """22 mm on one of 22 joints: a mean of 1 mm."""
    moved = JOINTS.copy()
    moved[:, 5, 1] += 0.022
    np.testing.assert_allclose(mpjpe_mm(moved, JOINTS), 1.0, rtol=1e-9)
    np.testing.assert_allclose(pve_mm(moved, JOINTS, moved[:, 0], JOINTS[:, 0]), 1.0, rtol=1e-9)


def test_a_moved_root_moves_all_others() -> None:
    moved = JOINTS.copy()
    moved[:, 0, 1] += 0.022
    np.testing.assert_allclose(mpjpe_mm(moved, JOINTS), 21.0, rtol=1e-9)
    np.testing.assert_allclose(mpjpe_mm(moved, JOINTS, root=3), 1.0, rtol=1e-9)


def test_root_alignment_kills_translation_only() -> None:
    np.testing.assert_allclose(mpjpe_mm(JOINTS + SHIFT, JOINTS), 0, atol=1e-9)
    assert (mpjpe_mm(JOINTS * 1.1, JOINTS) > 10).all()


def test_procrustes_kills_similarity_but_no_reflection() -> None:
    similar = 1.7 * JOINTS @ rotation().T + SHIFT
    np.testing.assert_allclose(pa_mpjpe_mm(similar, JOINTS), 0, atol=1e-9)
    np.testing.assert_allclose(pa_pve_mm(similar, JOINTS), 0, atol=1e-9)
    assert (pa_mpjpe_mm(JOINTS * [-1, 1, 1], JOINTS) > 10).all()
