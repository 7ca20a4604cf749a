"""Distances between surfaces, on spheres where they are known."""

import numpy as np
import pytest
import trimesh

from posedreamer.metrics.surface import compare_surfaces


def sphere(radius: float, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    mesh = trimesh.creation.icosphere(subdivisions=4, radius=radius)
    return np.asarray(mesh.vertices) + np.array([shift, 0.0, 0.0]), np.asarray(mesh.faces)


def test_a_surface_is_itself() -> None:
    found = compare_surfaces(sphere(0.3), sphere(0.3), np.random.default_rng(0))
    assert found.chamfer_mm < 5.0 and found.f_score == pytest.approx(1.0) and found.normal_consistency > 0.99


def test_concentric_spheres_are_as_far_apart_as_their_radii() -> None:
    found = compare_surfaces(sphere(0.36), sphere(0.30), np.random.default_rng(0))
    assert found.chamfer_mm == pytest.approx(60.0, rel=0.02) and found.p2s_mm == pytest.approx(60.0, rel=0.02)
    assert found.f_score == 0.0


def test_a_part_is_near_the_whole_but_the_whole_not_near_the_part() -> None:
    vertices, faces = sphere(0.3)
    upper = faces[(vertices[faces][:, :, 1] > 0).all(axis=1)]
    found = compare_surfaces((vertices, upper), (vertices, faces), np.random.default_rng(0))
    assert found.p2s_mm < 5.0 < 2 * found.chamfer_mm - found.p2s_mm


def test_a_smaller_shift_is_nearer() -> None:
    near, far = (compare_surfaces(sphere(0.3, shift), sphere(0.3), np.random.default_rng(0)) for shift in (0.01, 0.05))
    assert near.chamfer_mm < far.chamfer_mm and near.f_score > far.f_score
