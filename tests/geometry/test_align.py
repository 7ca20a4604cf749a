"""Procrustes kills a similarity, never a reflection, and cannot be beaten."""

import numpy as np
from scipy.spatial.transform import Rotation

from posedreamer.geometry.align import procrustes

RNG = np.random.default_rng(0)
SOURCE = RNG.normal(size=(6, 20, 3))


def similar(points: np.ndarray, scale: float, rotation: Rotation, shift: np.ndarray) -> np.ndarray:
    return scale * points @ rotation.as_matrix().T + shift


def test_a_similarity_is_undone_exactly() -> None:
    for scale in (0.01, 1.0, 50.0):
        target = similar(SOURCE, scale, Rotation.random(rng=RNG), RNG.normal(size=3))
        np.testing.assert_allclose(procrustes(SOURCE, target), target, atol=1e-9)


def test_the_source_may_be_moved_before() -> None:
    target = SOURCE + RNG.normal(size=SOURCE.shape) * 0.1
    moved = similar(SOURCE, 3.0, Rotation.random(rng=RNG), np.array([5.0, -1.0, 2.0]))
    np.testing.assert_allclose(procrustes(moved, target), procrustes(SOURCE, target), atol=1e-9)


def test_a_mirror_image_is_not_aligned_by_reflecting() -> None:
    mirrored = SOURCE * (-1.0, 1.0, 1.0)
    assert (np.linalg.norm(procrustes(SOURCE, mirrored) - mirrored, axis=-1).mean(-1) > 0.1).all()


def test_no_other_similarity_comes_closer() -> None:
    source, target = SOURCE[0], SOURCE[0] + RNG.normal(size=(20, 3)) * 0.5
    aligned = procrustes(source, target)
    best = ((aligned - target) ** 2).sum()
    centred = aligned - aligned.mean(axis=0)
    for _ in range(50):
        turn = Rotation.from_rotvec(RNG.normal(size=3) * 0.05)
        nudged = similar(centred, 1.0 + 0.05 * RNG.normal(), turn, aligned.mean(axis=0) + 0.02 * RNG.normal(size=3))
        assert ((nudged - target) ** 2).sum() >= best


def test_points_that_are_one_point_do_not_explode() -> None:
    aligned = procrustes(np.ones((4, 3)), SOURCE[0, :4])
    np.testing.assert_allclose(aligned, np.broadcast_to(SOURCE[0, :4].mean(axis=0), (4, 3)))


def test_flat_points_are_aligned_too() -> None:
    flat = SOURCE * (1.0, 1.0, 0.0)
    target = similar(flat, 2.0, Rotation.random(rng=RNG), np.ones(3))
    np.testing.assert_allclose(procrustes(flat, target), target, atol=1e-9)
