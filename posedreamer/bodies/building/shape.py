"""The shape space: mean and ten principal components of a population, ten of the face.

Rule of signs: +beta0 is taller; +beta of every other component is stockier, that is, encloses more volume for its height
cubed; +expression moves the face's vertices further down and forward in sum. One unit is one standard deviation of the population.
"""

from typing import NamedTuple

import numpy as np

NUM_COMPONENTS = 10
# One unit of an expression component, in standard deviations of single face actions.
EXPRESSION_UNIT = 2.0


class ShapeSpace(NamedTuple):
    """mean (verts, 3); shapedirs (verts, 3, 20); explained: share of the population's variance."""

    mean: np.ndarray
    shapedirs: np.ndarray
    explained: float


def fit_shape_space(bodies: np.ndarray, face_units: np.ndarray, triangles: np.ndarray) -> ShapeSpace:
    """Principal components of T-posed bodies (bodies, verts, 3) and of face actions (units, verts, 3)."""
    mean = bodies.mean(axis=0)
    shape, explained = _components((bodies - mean).reshape(len(bodies), -1))
    shape = np.array([_signed(direction.reshape(-1, 3), mean, triangles, k == 0) for k, direction in enumerate(shape)])
    expression, _ = _components(face_units.reshape(len(face_units), -1))
    expression = EXPRESSION_UNIT * expression.reshape(NUM_COMPONENTS, -1, 3)
    downward = np.sign((expression @ np.array([0.0, -1.0, 0.3])).sum(axis=1))
    shapedirs = np.concatenate([shape, expression * downward[:, None, None]])
    return ShapeSpace(mean, shapedirs.transpose(1, 2, 0), explained)


def _components(centred: np.ndarray) -> tuple[np.ndarray, float]:
    # By the Gram matrix: there are far fewer bodies than coordinates. Scaled to one standard deviation.
    values, vectors = np.linalg.eigh(centred @ centred.T)
    values, vectors = values[::-1], vectors[:, ::-1]
    directions = vectors[:, :NUM_COMPONENTS].T @ centred / np.sqrt(len(centred))
    return directions, float(values[:NUM_COMPONENTS].sum() / values.sum())


def _signed(direction: np.ndarray, mean: np.ndarray, triangles: np.ndarray, is_first: bool) -> np.ndarray:
    more, less = mean + direction, mean - direction
    if is_first:
        grows = stature(more) > stature(less)
    else:
        grows = volume(more, triangles) / stature(more) ** 3 > volume(less, triangles) / stature(less) ** 3
    return direction if grows else -direction


def volume(vertices: np.ndarray, triangles: np.ndarray) -> float:
    """Volume enclosed by a closed mesh."""
    a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
    return float(np.einsum("fi,fi->", a, np.cross(b, c)) / 6.0)


def stature(vertices: np.ndarray) -> float:
    """Height from soles to crown, metres."""
    return float(np.ptp(vertices[:, 1]))
