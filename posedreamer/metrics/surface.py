"""How near two surfaces are, from points drawn evenly on both: Chamfer distance, point to surface, normal consistency, F-score."""

from typing import NamedTuple

import numpy as np
import trimesh
from jaxtyping import Float, Int
from scipy.spatial import KDTree

SAMPLES = 20_000
F_SCORE_AT_MM = 20.0


class SurfaceErrors(NamedTuple):
    """chamfer_mm: mean of both directions' mean distances. p2s_mm: from the found surface to the true one. normal_consistency: mean
    |cosine| of normals at nearest points, both directions. f_score: of points within F_SCORE_AT_MM.
    """

    chamfer_mm: float
    p2s_mm: float
    normal_consistency: float
    f_score: float


def compare_surfaces(
    found: tuple[Float[np.ndarray, "verts 3"], Int[np.ndarray, "faces 3"]],
    true: tuple[Float[np.ndarray, "true_verts 3"], Int[np.ndarray, "true_faces 3"]],
    rng: np.random.Generator,
    samples: int = SAMPLES,
) -> SurfaceErrors:
    """Of surfaces in metres."""
    (points, normals), (true_points, true_normals) = (_draw(*mesh, rng, samples) for mesh in (found, true))
    to_true, nearest_true = KDTree(true_points).query(points)
    to_found, nearest = KDTree(points).query(true_points)
    agreement = np.concatenate(
        [(normals * true_normals[nearest_true]).sum(axis=1), (true_normals * normals[nearest]).sum(axis=1)]
    )
    limit = F_SCORE_AT_MM / 1000
    precision, recall = float((to_true < limit).mean()), float((to_found < limit).mean())
    return SurfaceErrors(
        chamfer_mm=1000 * float(to_true.mean() + to_found.mean()) / 2,
        p2s_mm=1000 * float(to_true.mean()),
        normal_consistency=float(np.abs(agreement).mean()),
        f_score=2 * precision * recall / max(precision + recall, 1e-9),
    )


def _draw(
    vertices: Float[np.ndarray, "verts 3"], faces: Int[np.ndarray, "faces 3"], rng: np.random.Generator, samples: int
) -> tuple[Float[np.ndarray, "samples 3"], Float[np.ndarray, "samples 3"]]:
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    points, of_face = trimesh.sample.sample_surface(mesh, samples, seed=rng)[:2]
    return np.asarray(points), np.asarray(mesh.face_normals)[of_face]
