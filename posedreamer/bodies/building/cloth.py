"""Meshes bound to the body: cut along smooth lines, smoothed, pushed out of the skin, hemmed.

A bound vertex stands at `anchors @ body vertices + offset`, so whatever moves the body (betas, correctives, skinning) moves
the cloth: the same sparse mix is applied to the body's blend shapes and weights.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix, vstack
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from posedreamer.bodies.layout import BodyArrays
from posedreamer.geometry.skeletons import SMPLX_JOINTS

HEM_DEPTH_M = 0.010
MAX_ANCHORS = 8


class Skin(NamedTuple):
    """The body that cloth is made on: T-posed mean, metres. normals point outwards; joints by name."""

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    weights: np.ndarray
    joints: dict[str, np.ndarray]


def skin_of(body: BodyArrays) -> Skin:
    """A body file's mean body as something to make cloth on."""
    vertices = body.v_template.astype(np.float64)
    joints = body.joint_regressor.astype(np.float64) @ vertices
    return Skin(
        vertices,
        body.faces,
        vertex_normals(vertices, body.faces),
        body.weights.astype(np.float64),
        dict(zip(SMPLX_JOINTS, joints, strict=True)),
    )


class Bound(NamedTuple):
    """A mesh bound to the body. anchors: sparse (verts, body verts), rows sum to 1; shade: brightness around 1."""

    anchors: csr_matrix
    positions: np.ndarray
    faces: np.ndarray
    shade: np.ndarray


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals, area-weighted."""
    corners = vertices[faces]
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], face_normals)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def whole_skin(skin: Skin) -> Bound:
    """The body's own surface as a bound mesh, to be cut from."""
    count = len(skin.vertices)
    identity = csr_matrix((np.ones(count), (np.arange(count), np.arange(count))), shape=(count, count))
    return Bound(identity, skin.vertices.copy(), skin.faces, np.ones(count))


def cut(mesh: Bound, field: np.ndarray) -> Bound:
    """The part where the field (one value a vertex) is positive; triangles on the line are split at its zero."""
    inside = field > 0
    count = inside[mesh.faces].sum(axis=1)
    pairs: dict[tuple[int, int], int] = {}

    def crossing(a: int, b: int) -> int:
        return pairs.setdefault((min(a, b), max(a, b)), len(field) + len(pairs))

    triangles = mesh.faces[count == 3].tolist()
    for face in mesh.faces[(count == 1) | (count == 2)].tolist():
        lone_is_inside = sum(bool(inside[v]) for v in face) == 1
        turn = next(k for k in range(3) if bool(inside[face[k]]) == lone_is_inside)
        lone, second, third = face[turn], face[(turn + 1) % 3], face[(turn + 2) % 3]
        near, far = crossing(lone, second), crossing(lone, third)
        if lone_is_inside:
            triangles.append([lone, near, far])
        else:
            triangles += [[near, second, third], [near, third, far]]
    ends = np.array(list(pairs), dtype=np.int64).reshape(-1, 2)
    first, last = field[ends[:, 0]], field[ends[:, 1]]
    share = np.clip(first / np.where(first == last, 1.0, first - last), 0.02, 0.98)[:, None]
    anchors = vstack(
        [mesh.anchors, mesh.anchors[ends[:, 0]].multiply(1 - share) + mesh.anchors[ends[:, 1]].multiply(share)]
    )
    positions = (1 - share) * mesh.positions[ends[:, 0]] + share * mesh.positions[ends[:, 1]]
    return compact(
        Bound(
            csr_matrix(anchors),
            np.concatenate([mesh.positions, positions]),
            np.array(triangles, dtype=np.int64),
            np.concatenate([mesh.shade, np.ones(len(ends))]),
        )
    )


def compact(mesh: Bound) -> Bound:
    """The mesh without vertices that no triangle uses."""
    used, faces = np.unique(mesh.faces, return_inverse=True)
    return Bound(csr_matrix(mesh.anchors[used]), mesh.positions[used], faces.reshape(-1, 3), mesh.shade[used])


def largest_part(mesh: Bound) -> Bound:
    """The connected component with most triangles."""
    _, label = connected_components(_adjacency(mesh), directed=False)
    biggest = np.bincount(label[mesh.faces[:, 0]]).argmax()
    return compact(mesh._replace(faces=mesh.faces[label[mesh.faces[:, 0]] == biggest]))


def smoothed(mesh: Bound, positions: np.ndarray, rounds: int) -> np.ndarray:
    """Positions after some rounds of uniform Laplacian smoothing; the border moves along itself only."""
    neighbours = _adjacency(mesh)
    edges = border_edges(mesh)
    border = np.unique(edges)
    along = csr_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=neighbours.shape)
    along = along + along.T
    mean = csr_matrix(neighbours.multiply(1 / np.maximum(neighbours.sum(axis=1), 1)))
    mean_border = csr_matrix(along.multiply(1 / np.maximum(along.sum(axis=1), 1)))
    for _ in range(rounds):
        moved = 0.5 * positions + 0.5 * (mean @ positions)
        moved[border] = 0.5 * positions[border] + 0.5 * (mean_border @ positions)[border]
        positions = moved
    return positions


def pushed_out(mesh: Bound, skin: Skin, positions: np.ndarray, least, most=np.inf) -> np.ndarray:
    """Positions moved along the skin's normal until they stand between `least` and `most` metres off their own anchor."""
    base, normal = mesh.anchors @ skin.vertices, mesh.anchors @ skin.normals
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    height = ((positions - base) * normal).sum(axis=1)
    return positions + (np.clip(height, least, most) - height)[:, None] * normal


def with_even_border(mesh: Bound, positions: np.ndarray, rounds: int) -> np.ndarray:
    """Positions with the border, and it alone, smoothed along itself: hems without frills."""
    edges = border_edges(mesh)
    border = np.unique(edges)
    along = csr_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(len(positions), len(positions)))
    along = along + along.T
    mean = csr_matrix(along.multiply(1 / np.maximum(along.sum(axis=1), 1)))
    positions = positions.copy()
    for _ in range(rounds):
        positions[border] = 0.5 * positions[border] + 0.5 * (mean @ positions)[border]
    return positions


def hemmed(mesh: Bound, skin: Skin) -> Bound:
    """The mesh with its borders folded in towards the skin, so that cloth has an edge and not a gap."""
    edges = border_edges(mesh)
    border, local = np.unique(edges, return_inverse=True)
    local = local.reshape(-1, 2) + len(mesh.positions)
    inward = (mesh.anchors @ skin.vertices)[border] - mesh.positions[border]
    length = np.linalg.norm(inward, axis=1, keepdims=True)
    inner = mesh.positions[border] + inward * np.minimum(1.1, HEM_DEPTH_M / np.maximum(length, 1e-6))
    strip = [[edges[:, 1], edges[:, 0], local[:, 0]], [edges[:, 1], local[:, 0], local[:, 1]]]
    return Bound(
        csr_matrix(vstack([mesh.anchors, mesh.anchors[border]])),
        np.concatenate([mesh.positions, inner]),
        np.concatenate([mesh.faces, *(np.stack(triangle, axis=1) for triangle in strip)]),
        np.concatenate([mesh.shade, 0.8 * mesh.shade[border]]),
    )


def border_edges(mesh: Bound) -> np.ndarray:
    """Directed edges (edges, 2) that belong to one triangle only."""
    edges = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    _, first, count = np.unique(np.sort(edges, axis=1), axis=0, return_index=True, return_counts=True)
    return edges[first[count == 1]]


def bind(skin: Skin, positions: np.ndarray, candidates: np.ndarray, reach_m: float, at: np.ndarray | None = None):
    """Anchors of free positions: a Gaussian mix of the nearest candidate body vertices (as seen from `at`, if given)."""
    distance, index = KDTree(skin.vertices[candidates]).query(positions if at is None else at, k=MAX_ANCHORS)
    weight = np.exp(-0.5 * ((distance - distance[:, :1]) / reach_m) ** 2)
    weight /= weight.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(len(positions)), MAX_ANCHORS)
    shape = (len(positions), len(skin.vertices))
    return csr_matrix((weight.ravel(), (rows, candidates[index].ravel())), shape=shape)


def _adjacency(mesh: Bound) -> csr_matrix:
    edges = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    edges = np.unique(np.sort(edges, axis=1), axis=0)
    count = len(mesh.positions)
    half = csr_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    return half + half.T
