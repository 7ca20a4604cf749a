"""Cutting cloth along iso-lines: the border lies on the line, area and binding are kept."""

import numpy as np
from scipy.sparse import identity

from posedreamer.bodies.building.cloth import Bound, Skin, border_edges, cut, hemmed, vertex_normals


def sheet(count=13):
    x, y = np.meshgrid(np.linspace(-1, 1, count), np.linspace(-1, 1, count), indexing="ij")
    positions = np.stack([x.ravel(), y.ravel(), np.zeros(count * count)], axis=1)
    a = (np.arange(count - 1)[:, None] * count + np.arange(count - 1)).ravel()
    faces = np.concatenate([np.stack([a, a + count, a + count + 1], 1), np.stack([a, a + count + 1, a + 1], 1)])
    return Bound(identity(len(positions), format="csr"), positions, faces, np.ones(len(positions)))


def area(mesh):
    a, b, c = (mesh.positions[mesh.faces[:, corner]] for corner in range(3))
    return np.cross(b - a, c - a)[:, 2].sum() / 2  # signed: a turned triangle would count against


def test_a_straight_cut_keeps_the_exact_area_on_either_side():
    mesh = sheet()
    field = mesh.positions[:, 0] * 0.8 + mesh.positions[:, 1] * 0.6 - 0.123
    kept, rest = cut(mesh, field), cut(mesh, -field)
    assert np.isclose(area(kept) + area(rest), 4.0, atol=2e-3)
    assert area(kept) > 0 and area(rest) > 0


def test_the_border_of_a_round_cut_is_round():
    mesh = sheet(41)
    kept = cut(mesh, 0.7**2 - (mesh.positions**2).sum(axis=1))
    border = kept.positions[np.unique(border_edges(kept))]
    # The zero of a quadratic field, taken linearly over edges of 7 cm.
    assert np.abs(np.linalg.norm(border, axis=1) - 0.7).max() < 3e-3


def test_cut_vertices_stay_bound_where_they_stand():
    mesh = sheet()
    kept = cut(mesh, mesh.positions[:, 0] + 0.31)
    kept = cut(kept, 0.4 - kept.positions[:, 1])
    assert np.allclose(kept.anchors @ mesh.positions, kept.positions)
    assert np.allclose(kept.anchors.sum(axis=1), 1)


def test_a_hem_folds_towards_the_skin():
    mesh = sheet()
    skin = Skin(mesh.positions, mesh.faces, vertex_normals(mesh.positions, mesh.faces), np.ones((169, 55)), {})
    lifted = mesh._replace(positions=mesh.positions + np.array([0, 0, 0.03]))
    hem = hemmed(lifted, skin)
    new = hem.positions[len(mesh.positions) :]
    assert len(new) == len(np.unique(border_edges(mesh))) and np.allclose(new[:, 2], 0.02)
