"""Closed forms built of rings around an axis: shoes and the skirt. Metres, T-pose."""

import numpy as np
from scipy.sparse import csr_matrix, vstack
from scipy.spatial import ConvexHull

from posedreamer.bodies.building.cloth import Bound, Skin, bind, cut, hemmed

SHOE_RINGS, SHOE_SPOKES = 28, 28
SOLE_M, UPPER_M = 0.010, 0.006
SKIRT_RINGS, SKIRT_SPOKES = 16, 56


def grid_faces(rings: int, spokes: int, first: int = 0) -> np.ndarray:
    """Triangles between successive rings of a closed tube; rings are counted from the end that outward normals see left."""
    ring, spoke = np.meshgrid(np.arange(rings - 1), np.arange(spokes), indexing="ij")
    a, b = ring * spokes + spoke, ring * spokes + (spoke + 1) % spokes
    c, d = a + spokes, b + spokes
    faces = np.concatenate([np.stack(t, axis=-1).reshape(-1, 3) for t in ((a, b, d), (a, d, c))])
    return faces + first


def support_ring(points: np.ndarray, centre: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Radius of the convex hull of 2D points, seen from a centre inside it, in each direction."""
    hull = ConvexHull(points)
    normals, offsets = hull.equations[:, :2], -(hull.equations[:, 2] + hull.equations[:, :2] @ centre)
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    slope = directions @ normals.T
    distance = np.where(slope > 1e-9, offsets / np.maximum(slope, 1e-9), np.inf)
    return distance.min(axis=1)


def build_shoes(skin: Skin) -> Bound:
    """A pair of plain shoes: hull slices along the foot, a flat sole, a cut top line below the ankle."""
    left = _left_shoe(skin)
    flipped = left._replace(positions=left.positions * [-1, 1, 1], faces=left.faces[:, ::-1])
    feet = np.flatnonzero(skin.weights[:, _columns(skin, "right_ankle", "right_foot")].sum(axis=1) > 0.5)
    flipped = flipped._replace(anchors=bind(skin, flipped.positions, feet, 0.02))
    return joined([left, flipped])


def _left_shoe(skin: Skin) -> Bound:
    foot = np.flatnonzero(skin.weights[:, _columns(skin, "left_ankle", "left_foot")].sum(axis=1) > 0.5)
    ankle = skin.joints["left_ankle"]
    points = skin.vertices[foot]
    points = points[points[:, 1] < ankle[1] + 0.06]
    floor = points[:, 1].min()
    heel, toe = points[:, 2].min() - UPPER_M, points[:, 2].max() + UPPER_M
    angles = np.linspace(0, 2 * np.pi, SHOE_SPOKES, endpoint=False)
    share = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, SHOE_RINGS))
    rings = []
    for z in heel + share * (toe - heel):
        inside = np.clip(z, points[:, 2].min() + 0.006, points[:, 2].max() - 0.008)
        near = points[np.abs(points[:, 2] - inside) < 0.014][:, :2]
        centre = np.array([np.mean([near[:, 0].min(), near[:, 0].max()]), floor + 0.022])
        radius = support_ring(near, centre, angles) + UPPER_M
        # Round off nose and heel: the last centimetres follow an ellipse.
        end = max(0.0, (inside - z if z < inside else z - inside)) / 0.014
        radius *= np.sqrt(max(0.0, 1 - min(end, 1.0) ** 2)) * 0.6 + 0.4
        ring = centre + radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        ring[:, 1] = np.maximum(ring[:, 1], floor - SOLE_M)
        ring[:, 1] = np.where((ring[:, 1] < floor + 0.002) & (np.abs(np.sin(angles)) > 0.5), floor - SOLE_M, ring[:, 1])
        rings.append(np.column_stack([ring, np.full(SHOE_SPOKES, z)]))
    grid = np.array(rings)
    for _ in range(3):
        grid[1:-1] = 0.5 * grid[1:-1] + 0.25 * (grid[:-2] + grid[2:])
    # The end rings are drawn together to a point: heel and nose are closed.
    closing = [ring.mean(axis=0) + 0.02 * (ring - ring.mean(axis=0)) for ring in (grid[0], grid[-1])]
    grid = np.concatenate([closing[:1], grid, closing[1:]])
    positions = grid.reshape(-1, 3)
    is_sole = positions[:, 1] < floor + 0.003
    mesh = Bound(
        bind(skin, positions, foot, 0.02),
        positions,
        grid_faces(SHOE_RINGS + 2, SHOE_SPOKES),
        np.where(is_sole, 0.55, 1.0),
    )
    y, z = positions[:, 1], positions[:, 2]
    rise = np.clip((ankle[2] + 0.06 - z) / 0.06, 0, 1)
    mesh = cut(mesh, floor + 0.062 + 0.018 * rise - y)
    return hemmed(mesh, skin)


def build_skirt(skin: Skin, top: float, bottom: float, room: float = 0.024, folds: float = 0.006) -> Bound:
    """Rings around both legs between two heights, wider towards the hem, skinned by a soft mix of both thighs.

    room: how far it stands off the legs at the top. folds: how deep its folds are at the hem.
    """
    body = np.flatnonzero(np.abs(skin.vertices[:, 0]) < 0.30)
    points = skin.vertices[body]
    angles = np.linspace(0, 2 * np.pi, SKIRT_SPOKES, endpoint=False)
    rings = []
    for share in np.linspace(0, 1, SKIRT_RINGS):
        y = top + share * (bottom - top)
        near = points[np.abs(points[:, 1] - y) < 0.02][:, [0, 2]]
        centre = np.array([0.0, near[:, 1].mean()])
        radius = support_ring(near, centre, angles) + room + 0.014 * share + folds * share * np.cos(14 * angles)
        rings.append((centre, radius, y))
    radii = np.array([radius for _, radius, _ in rings])
    radii = np.maximum.accumulate(radii, axis=0)
    positions = np.concatenate(
        [
            np.column_stack([c[0] + r * np.cos(angles), np.full(SKIRT_SPOKES, y), c[1] + r * np.sin(angles)])
            for (c, _, y), r in zip(rings, radii, strict=True)
        ]
    )
    shade = np.concatenate([1 + folds / 0.06 * share * np.cos(14 * angles) for share in np.linspace(0, 1, SKIRT_RINGS)])
    mesh = Bound(_skirt_anchors(skin, positions), positions, grid_faces(SKIRT_RINGS, SKIRT_SPOKES), shade)
    return mesh


def _skirt_anchors(skin: Skin, positions: np.ndarray):
    def side(letter: str) -> np.ndarray:
        joints = _columns(skin, f"{letter}_hip", "pelvis", "spine1")
        sign = 1 if letter == "left" else -1
        return np.flatnonzero((skin.weights[:, joints].sum(axis=1) > 0.8) & (sign * skin.vertices[:, 0] > -1e-6))

    # Each point is seen as if it stood before its thigh's middle, so that cloth between the legs is moved by the legs and
    # not by the crotch; it follows both, in proportion: no jump of weights in the middle.
    hip, knee = skin.joints["left_hip"], skin.joints["left_knee"]
    down = np.clip((hip[1] + 0.05 - positions[:, 1]) / 0.10, 0, 1)
    middle = np.interp(positions[:, 1], [knee[1], hip[1]], [knee[0], hip[0]])
    halves = []
    for letter, sign in (("left", 1), ("right", -1)):
        seen = positions.copy()
        seen[:, 0] = (1 - down) * positions[:, 0] + down * sign * np.maximum(sign * positions[:, 0], middle)
        halves.append(bind(skin, positions, side(letter), 0.04, at=seen))
    share = np.clip(0.5 + positions[:, 0] / 0.14, 0, 1)[:, None]
    return csr_matrix(halves[0].multiply(share) + halves[1].multiply(1 - share))


def joined(meshes: list[Bound]) -> Bound:
    """Several meshes as one."""
    first = np.cumsum([0, *(len(mesh.positions) for mesh in meshes)])
    return Bound(
        csr_matrix(vstack([mesh.anchors for mesh in meshes])),
        np.concatenate([mesh.positions for mesh in meshes]),
        np.concatenate([mesh.faces + start for mesh, start in zip(meshes, first[:-1], strict=True)]),
        np.concatenate([mesh.shade for mesh in meshes]),
    )


def _columns(skin: Skin, *names: str) -> list[int]:
    return [list(skin.joints).index(name) for name in names]
